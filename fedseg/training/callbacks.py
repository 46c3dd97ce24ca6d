"""What a training calls at its start, at each step and at its end: progress, curves, trackers."""

import time
from pathlib import Path

from fedseg.run.curves import write_curve
from fedseg.run.progress import Progress


class Callback:
    """Does nothing; override what is wanted. A new training calls new callbacks."""

    def on_start(self, losses: list[float]) -> None:
        """Called before the first step, with the losses of those before a resume."""

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Called after each step.

        Args:
            step: counted from 1.
            total: steps of the training.
            loss: of the step's batch.
        """

    def on_end(self, losses: list[float]) -> None:
        """Called after the last step, with the loss of each, those before a resume included."""


class ReportProgress(Callback):
    """Passes each step on as progress."""

    def __init__(self, progress: Progress, stage: str = "training") -> None:
        self._progress, self._stage = progress, stage

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Report it."""
        self._progress(self._stage, step, total, loss=loss)


class WriteCurve(Callback):
    """Writes the loss over the iterations to a file: now and then, and in the end."""

    def __init__(self, path: Path, seconds: float = 30.0) -> None:
        self._path, self._seconds = path, seconds
        self._losses: list[float] = []
        self._written = time.monotonic()

    def on_start(self, losses: list[float]) -> None:
        """Go on after the steps before."""
        self._losses = list(losses)

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Write it, if it is time."""
        self._losses.append(loss)
        if time.monotonic() - self._written >= self._seconds:
            write_curve(self._path, self._losses)
            self._written = time.monotonic()

    def on_end(self, losses: list[float]) -> None:
        """Write it."""
        write_curve(self._path, losses)
