"""Plain files: CSV and JSON lines. A training that is resumed goes on with its file."""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from pathlib import Path

from fedseg.files import atomic_file


class _Lines(ABC):
    """A text file that grows line by line."""

    HEADER = ""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._open()

    def _open(self) -> None:
        self._file = self._path.open("a", encoding="utf-8", newline="", buffering=1)
        if not self._path.stat().st_size:
            self._file.write(self.HEADER)

    def resume(self, step: int) -> int:
        """Keep the lines up to a step, each once; one that a kill cut short is dropped too."""
        self._file.close()
        text = self._path.read_text(encoding="utf-8", errors="replace")
        kept: dict[Hashable, str] = {}
        held = 0
        for line in text.splitlines(keepends=True):
            if line.endswith("\n") and (found := self._parse(line)) and found[0] <= step:
                kept[found] = line
                held = max(held, found[0])
        with atomic_file(self._path) as temporary:
            text = "".join([self.HEADER, *kept.values()])
            temporary.write_text(text, encoding="utf-8", newline="")
        self._open()
        return held

    @abstractmethod
    def _parse(self, line: str) -> tuple[int, str] | None:
        """The step of a line and what it tells of it; None if it is no such line."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class JsonLines(_Lines):
    """Appends `{"run": ..., "name": ..., "step": ..., ...}` to <folder>/<name>.jsonl."""

    def __init__(self, folder: Path, project: str, run: str, name: str) -> None:
        super().__init__(folder / f"{name}.jsonl")
        self._whose = {"project": project, "run": run, "name": name}

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line."""
        self._file.write(json.dumps({**self._whose, "step": step, **values}) + "\n")

    def _parse(self, line: str) -> tuple[int, str] | None:
        try:
            return int(json.loads(line)["step"]), ""
        except (ValueError, TypeError, KeyError):
            return None


class Csv(_Lines):
    """Appends `step,metric,value` to <folder>/<name>.csv."""

    HEADER = "step,metric,value\r\n"

    def __init__(self, folder: Path, project: str, run: str, name: str) -> None:
        super().__init__(folder / f"{name}.csv")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line for each value."""
        csv.writer(self._file).writerows([step, metric, value] for metric, value in values.items())

    def _parse(self, line: str) -> tuple[int, str] | None:
        try:
            [[step, metric, value]] = csv.reader([line])
            float(value)
            return int(step), metric
        except ValueError:
            return None
