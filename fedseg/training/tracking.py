"""Trackers: they receive the numbers of trainings as they are made."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from fedseg.config import Tracking
from fedseg.training.callbacks import Callback

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Receives the numbers of one training, in the process that trains.

    A class of it is made with `(folder, project, run, name)`: a folder that it may write to, the
    project and the run that it belongs to, and whose numbers they are.
    """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take numbers by name.

        Args:
            step: of the training, counted from 1.
            values: such as `{"loss": 0.5}`.
        """

    def close(self) -> None:
        """Write everything that is not written yet."""


class Track(Callback):
    """Passes each step on to a tracker. A tracker that fails ends no training."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker: Tracker | None = tracker

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Log its loss."""
        self.log(step, {"loss": loss})

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers, until the tracker fails."""
        if self._tracker is None:
            return
        try:
            self._tracker.log(step, values)
        except Exception as error:  # of somebody else's library, server or disk
            log.warning("tracking ended: %s: %s", type(error).__name__, error)
            self._tracker = None

    def on_end(self, losses: list[float]) -> None:
        """Close the tracker."""
        self.close()

    def close(self) -> None:
        """Close the tracker, unless it failed."""
        if self._tracker is None:
            return
        try:
            self._tracker.close()
        except Exception as error:
            log.warning("tracking was not closed: %s: %s", type(error).__name__, error)


def trackers(settings: Tracking, folder: Path, run: str, name: str) -> tuple[Track, ...]:
    """The trackers that a configuration names, opened.

    Args:
        settings: which, and where.
        folder: used where the settings name none.
        run: name of the run.
        name: whose numbers they will be.
    """
    found = []
    for kind, make in settings.load().items():
        try:
            found.append(Track(make(settings.folder or folder, settings.project, run, name)))
        except Exception as error:
            log.warning("no tracking by %s: %s: %s", kind, type(error).__name__, error)
    return tuple(found)
