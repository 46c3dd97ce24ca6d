"""What a training calls at each step and at its end: progress, curves, trackers."""

from pathlib import Path

from fedseg.run.curves import write_curve
from fedseg.run.progress import OnProgress


class Callback:
    """Does nothing; override what is wanted. A new training calls new callbacks."""

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

    def __init__(self, notify: OnProgress) -> None:
        self._notify = notify

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Report it."""
        self._notify(step, total, loss=loss)


class WriteCurve(Callback):
    """Writes the loss over the iterations to a file, in the end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_end(self, losses: list[float]) -> None:
        """Write it."""
        write_curve(self._path, losses)
