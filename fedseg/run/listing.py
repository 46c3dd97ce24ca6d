"""The run folders within a folder, and how far each is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fedseg import config
from fedseg.config import GLOBAL
from fedseg.errors import FedsegError
from fedseg.run.folder import Run
from fedseg.run.records import Result


@dataclass(frozen=True)
class Listed:
    """One run folder."""

    path: Path
    status: Literal["completed", "failed", "unfinished", "unreadable"]
    seed: int | None
    """None where its configuration can't be read."""
    clients: int
    """How many its configuration names."""
    scores: dict[str, float | None]
    """mIoU of the global model, 0..1, by evaluation set."""

    def content(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "path": str(self.path)}


def list_runs(folder: Path) -> list[Listed]:
    """The run folders at or anywhere below a folder, by name; within a run there are no others.

    Raises:
        FedsegError: there is no such folder.
    """
    if not folder.is_dir():
        raise FedsegError(f"{folder}: no such folder")
    return sorted(map(_listed, _run_folders(folder)), key=lambda run: str(run.path))


def _run_folders(folder: Path) -> list[Path]:
    if Run(folder).config.is_file():
        return [folder]
    below = (path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return [found for path in below for found in _run_folders(path)]


def _listed(folder: Path) -> Listed:
    run = Run(folder)
    try:
        federation = config.load(run.config)
        if not run.result.is_file():
            return Listed(folder, "unfinished", federation.seed, len(federation.clients), {})
        result = Result.read(run.result)
    except FedsegError:
        return Listed(folder, "unreadable", None, 0, {})
    scores = {name: score.miou for name, score in result.evaluation.get(GLOBAL, {}).items()}
    return Listed(folder, result.status, federation.seed, len(federation.clients), scores)
