"""Tracker: prints every tenth loss.

trackers = ["printed:Printed"] under [tracking]
"""

from collections.abc import Mapping
from pathlib import Path


class Printed:
    """Prints every tenth step of a training."""

    def __init__(self, folder: Path, run: str, name: str) -> None:
        self._name = name

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if step % 10 == 0:
            print(self._name, step, dict(values))

    def close(self) -> None:
        print(self._name, "ended")
