"""Weights & Biases. Nothing leaves the machine unless WANDB_MODE is `online`.

Offline, the run is written to <folder>/wandb; `wandb sync` uploads it later.
"""

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import wandb

from fedseg.training.tracking import PROJECT


class WandB:
    """A run of W&B for each training, grouped by the run of fedseg."""

    def __init__(self, folder: Path, run: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._group, self._name = folder, run, name
        self._mode: Literal["online", "offline"] = (
            "online" if os.environ.get("WANDB_MODE") == "online" else "offline"
        )
        self._unfinished = folder / f".wandb-{run}-{name}"
        """File that holds the mode and the identifier of a training's run until it has ended."""
        self._run: wandb.Run | None = None

    def _begin(self, identifier: str) -> wandb.Run:
        settings = wandb.Settings(silent=True, console="off", save_code=False)
        self._unfinished.write_text(f"{self._mode} {identifier}")
        self._run = wandb.init(
            project=PROJECT,
            group=self._group,
            name=self._name,
            dir=self._folder,
            mode=self._mode,
            settings=settings,
            id=identifier,
            resume="allow" if self._mode == "online" else None,
        )
        return self._run

    def resume(self, step: int) -> int:
        """Go on with the run that was killed.

        Online, W&B itself leaves out steps that it has already. Offline, it can't go on with a run,
        so that a new one takes its place.
        """
        killed = self._unfinished.read_text().split() if self._unfinished.is_file() else None
        if killed and killed[0] == "offline":
            for folder in (self._folder / "wandb").glob(f"offline-run-*-{killed[1]}"):
                shutil.rmtree(folder)
        goes_on = step > 0 and killed is not None and killed[0] == self._mode == "online"
        self._begin(killed[1] if killed and goes_on else secrets.token_hex(4))
        return step if goes_on else 0

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers."""
        run = self._run or self._begin(secrets.token_hex(4))
        run.log(dict(values), step=step)

    def close(self) -> None:
        """End the run."""
        if self._run:
            self._run.finish()
        self._unfinished.unlink(missing_ok=True)
