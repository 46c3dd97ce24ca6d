"""What a configuration chooses by name: one line for each choice, imported when it is chosen.

docs/extending.md adds one of each, step by step.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any


class Registry:
    """Names, and where what they stand for is defined.

    Args:
        kind: what is chosen, for errors.
        entries: "module:object" by name.
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def register(self, name: str, target: str) -> None:
        """Add a choice, or replace one.

        Args:
            name: as it stands in the configuration.
            target: "module:object".
        """
        self._entries[name] = target

    def load(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            KeyError: there is no such name.
        """
        module, _, attribute = self._entries[name].partition(":")
        return getattr(import_module(module), attribute)


_DISTILLATION = "fedseg.distillation"
GENERATORS = Registry(
    "generator",
    {
        "mix": f"{_DISTILLATION}.generation.mix:Mix",
        "streetsim": f"{_DISTILLATION}.generation.rendered:Streetsim",
        "diffusion": f"{_DISTILLATION}.generation.diffusion:Diffusion",
    },
)
"""Classes that satisfy `distillation.generation.candidates.Generator`."""
FUSION_RULES = Registry(
    "fusion",
    {
        "mean": f"{_DISTILLATION}.fusion.mean:write_targets",
        "features": f"{_DISTILLATION}.fusion.gated:write_targets",
    },
)
"""Functions from a `distillation.fusion.task.FusionTask` to targets on disk."""
BASELINES = Registry(
    "baseline",
    {
        "fedavg": "fedseg.workflows.baselines.fedavg:make",
        "ensemble": "fedseg.workflows.baselines.ensemble:make",
        "feddf": "fedseg.workflows.baselines.feddf:make",
        "centralized": "fedseg.workflows.baselines.centralized:make",
        "alone": "fedseg.workflows.baselines.alone:make",
    },
)
"""Functions `make(run, federation, clients, progress)` that write a model, or one a client."""
_TRACKERS = "fedseg.training.trackers"
TRACKERS = Registry(
    "tracker",
    {
        "csv": f"{_TRACKERS}.tables:Csv",
        "jsonl": f"{_TRACKERS}.tables:JsonLines",
        "tensorboard": f"{_TRACKERS}.tensorboard:TensorBoard",
        "mlflow": f"{_TRACKERS}.mlflow:MLflow",
        "wandb": f"{_TRACKERS}.wandb:WandB",
    },
)
"""Classes that satisfy `training.tracking.Tracker`; the last three need the extra of their name."""
