"""Federated learning for synthetic-to-real segmentation of driving scenes.

What a notebook needs can be imported from here; each has a runnable example in its docstring.

- A federation: `load_federation`, `simulate`, `distill`, `compare`, `write_report`,
  `load_result`.
- A model: `load_checkpoint`, `predict`, `overlay`, `evaluate`, with a `Protocol`; `PALETTE`.
- Data: `card_names`, `load_card`, `Source`, `open_dataset`.
- Errors: `FedsegError`, a mistake in a file or an argument; `RunFailed`, a run without an end.
"""

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

NO_NETWORK = {
    "NO_ALBUMENTATIONS_UPDATE": "1",  # it looks for a newer version when it is imported
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
}
"""Variables that keep libraries from using the network on their own account.

They are set before anything else is imported, as most libraries read them on import, and passed on
to every process. What the user has set stays.
"""
for _name, _value in NO_NETWORK.items():
    os.environ.setdefault(_name, _value)

_EXPORTS = {
    "PALETTE": "classes.PALETTE",
    "FedsegError": "errors.FedsegError",
    "Protocol": "config.Protocol",
    "RunFailed": "errors.RunFailed",
    "Source": "config.Source",
    "card_names": "data.cards.card_names",
    "compare": "workflows.comparison.compare",
    "distill": "workflows.redistillation.redistill",
    "evaluate": "evaluation.evaluate.evaluate",
    "load_card": "data.cards.load_card",
    "load_checkpoint": "models.checkpoints.load",
    "load_federation": "config.load",
    "load_result": "run.result.load_result",
    "open_dataset": "data.dataset.open_dataset",
    "overlay": "evaluation.predict.overlay",
    "predict": "evaluation.predict.predict",
    "simulate": "workflows.simulation.simulate",
    "write_report": "report.write.report_on",
}
"""Public name -> where it stands. Imported when it is asked for: torch takes seconds."""

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'fedseg' has no attribute '{name}'")
    module, _, attribute = _EXPORTS[name].rpartition(".")
    return getattr(import_module(f"fedseg.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
