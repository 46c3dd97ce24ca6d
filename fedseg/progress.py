"""Progress as files, so that whoever watches need not live in the process that works."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedseg.files import write_json

OnProgress = Callable[..., None]
"""Called as `(done, total, **numbers)`: steps done so far, of how many, and what to show beside."""

INTERVAL = 0.5
"""Seconds between two writes."""


class Progress:
    """Tells how far one worker is, in `<folder>/<name>.json`, at most twice a second."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.json"
        self._written = 0.0
        self._key: tuple[str, int] | None = None

    def __call__(self, stage: str, done: int, total: int, **details: float) -> None:
        """Say that `done` of `total` steps of a stage are done; `details` are shown beside it."""
        now = time.monotonic()
        new_stage = self._key != (stage, total)
        if new_stage or done >= total or now - self._written > INTERVAL:
            self._key, self._written = (stage, total), now
            content = {"stage": stage, "done": done, "total": total} | details
            write_json(self.path, content, durable=False)


def read_all(folder: Path) -> dict[str, dict[str, Any]]:
    """What every worker said last, by name."""
    said = {}
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            said[path.stem] = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
    return said
