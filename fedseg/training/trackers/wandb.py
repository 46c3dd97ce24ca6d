"""Weights & Biases. Nothing leaves the machine unless WANDB_MODE is `online`.

Offline, the run is written to <folder>/wandb; `wandb sync` uploads it later.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import wandb


class WandB:
    """A run of W&B for each training, grouped by the run of fedseg."""

    def __init__(self, folder: Path, project: str, run: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        mode: Literal["online", "offline"] = (
            "online" if os.environ.get("WANDB_MODE") == "online" else "offline"
        )
        settings = wandb.Settings(silent=True, console="off", save_code=False)
        self._run = wandb.init(
            project=project, group=run, name=name, dir=folder, mode=mode, settings=settings
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """End the run."""
        self._run.finish()
