"""Trackers: they receive the numbers of trainings as they are made."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fedseg.config import Tracking
from fedseg.training.callbacks import Callback

PROJECT = "fedseg"
"""Experiment of MLflow, project of Weights & Biases."""

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Receives the numbers of one training, in the process that trains.

    A class of it is made with `(folder, run, name)`: a folder that it may write to, the run that
    the training belongs to, and whose numbers they are.
    """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take numbers by name.

        Args:
            step: of the training, counted from 1.
            values: such as `{"loss": 0.5}`.
        """

    def close(self) -> None:
        """Write everything that is not written yet."""


@runtime_checkable
class Resumable(Tracker, Protocol):
    """A tracker that holds each step once, also of a training that was killed and resumed.

    Such a training goes on from its last saved state and repeats the steps since.
    """

    def resume(self, step: int) -> int:
        """Drop what was logged of later steps. It is called before anything is logged.

        Args:
            step: that the training goes on after; 0 if it starts.

        Returns:
            The last step that is still held; what comes after it, up to `step`, is logged again.
        """
        ...


class Track(Callback):
    """Passes each step on to a tracker. A tracker that fails ends no training."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker: Tracker | None = tracker

    def on_start(self, losses: list[float]) -> None:
        """Bring the tracker to the step after which the training goes on."""
        if not isinstance(self._tracker, Resumable):
            return
        held = self._call(self._tracker.resume, len(losses)) or 0
        for step, loss in enumerate(losses[held:], held + 1):
            self.log(step, {"loss": loss})

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Log its loss."""
        self.log(step, {"loss": loss})

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers, until the tracker fails."""
        if self._tracker is not None:
            self._call(self._tracker.log, step, values)

    def on_end(self, losses: list[float]) -> None:
        """Close the tracker."""
        self.close()

    def close(self) -> None:
        """Close the tracker, unless it failed."""
        if self._tracker is not None:
            self._call(self._tracker.close)

    def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except Exception as error:  # of somebody else's library, server or disk
            log.warning("tracking ended: %s: %s", type(error).__name__, error)
            self._tracker = None
            return None


def trackers(settings: Tracking, folder: Path, run: str, name: str) -> tuple[Track, ...]:
    """The trackers that a configuration names, opened.

    Args:
        settings: which.
        folder: where they may write.
        run: name of the run.
        name: whose numbers they will be.
    """
    found = []
    for kind, make in settings.load().items():
        try:
            found.append(Track(make(folder, run, name)))
        except Exception as error:
            log.warning("no tracking by %s: %s: %s", kind, type(error).__name__, error)
    return tuple(found)
