"""Plain files: CSV and JSON lines. A training that is resumed goes on with its file."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path


class JsonLines:
    """Appends `{"run": ..., "name": ..., "step": ..., ...}` to <folder>/<name>.jsonl."""

    def __init__(self, folder: Path, project: str, run: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"{name}.jsonl").open("a", encoding="utf-8", buffering=1)
        self._whose = {"project": project, "run": run, "name": name}

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line."""
        self._file.write(json.dumps({**self._whose, "step": step, **values}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Csv:
    """Appends `step,metric,value` to <folder>/<name>.csv."""

    def __init__(self, folder: Path, project: str, run: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.csv"
        is_new = not path.is_file()
        self._file = path.open("a", encoding="utf-8", newline="", buffering=1)
        self._rows = csv.writer(self._file)
        if is_new:
            self._rows.writerow(["step", "metric", "value"])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line for each value."""
        self._rows.writerows([step, metric, value] for metric, value in values.items())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
