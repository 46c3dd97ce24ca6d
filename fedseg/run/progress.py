"""Progress of long work: who reports it, and files through which other processes follow it."""

import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from fedseg.errors import FedsegError
from fedseg.files import read_json, write_json

STEPS = ("stage", "done", "total")
INTERVAL = 0.5
"""Seconds between two writes."""
LOG_INTERVAL = 60.0
"""Seconds between two lines of a log."""


class Progress(Protocol):
    """Receives the progress of work: bars, files and callbacks implement it."""

    def __call__(self, stage: str, done: int, total: int, /, **details: Any) -> None:
        """Report progress.

        Args:
            stage: what is being done.
            done: steps of it that are done.
            total: steps of it.
            details: `name`, whose work it is, and numbers to show beside it.
        """


def silent(stage: str, done: int, total: int, /, **details: Any) -> None:
    """A `Progress` that shows nothing."""


class FileProgress:
    """Tells how far one worker is, in `<folder>/<name>.json`, at most twice a second."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.json"
        self._written = 0.0
        self._key: tuple[str, int] | None = None

    def __call__(self, stage: str, done: int, total: int, /, **details: Any) -> None:
        """Say that `done` of `total` steps of a stage are done; `details` are shown beside it."""
        now = time.monotonic()
        new_stage = self._key != (stage, total)
        if new_stage or done >= total or now - self._written > INTERVAL:
            self._key, self._written = (stage, total), now
            content = {"stage": stage, "done": done, "total": total} | details
            write_json(self.path, content, durable=False)


class LogProgress:
    """Passes progress on, and logs a line when a stage begins and one a minute while it lasts."""

    def __init__(self, progress: Progress, log: logging.Logger) -> None:
        self._progress, self._log = progress, log
        self._stage: str | None = None
        self._logged = 0.0

    def __call__(self, stage: str, done: int, total: int, /, **details: Any) -> None:
        """Report progress."""
        self._progress(stage, done, total, **details)
        now = time.monotonic()
        if stage != self._stage or now - self._logged >= LOG_INTERVAL:
            self._stage, self._logged = stage, now
            numbers = "".join(f" {key} {value:.3g}" for key, value in details.items())
            self._log.info("%s %d/%d%s", stage, done, total, numbers)


def read_all(folder: Path) -> dict[str, dict[str, Any]]:
    """The latest progress of every worker, by name."""
    found = {}
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            found[path.stem] = read_json(path)
        except (OSError, FedsegError):
            continue
    return found


def report_states(
    progress: Progress, states: dict[str, dict[str, Any]], names: Iterable[str]
) -> None:
    """Report what `read_all` gives of those named; workers without any yet are left out."""
    for name in names:
        if content := states.get(name):
            numbers = {key: value for key, value in content.items() if key not in STEPS}
            progress(*(content[key] for key in STEPS), name=name, **numbers)
