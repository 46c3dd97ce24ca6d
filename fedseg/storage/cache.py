"""fedseg's cache: what is in it, and clearing it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from fedseg.files import cache_dir

RUNS = "runs"
"""Folder of the cache with the results of `flwr run`, which can't be made again for nothing."""


@dataclass(frozen=True)
class Part:
    """A folder of the cache."""

    path: Path
    files: int
    bytes: int

    @property
    def is_kept(self) -> bool:
        """Whether clearing the cache leaves it."""
        return self.path.name == RUNS


def cache_parts() -> list[Part]:
    """What the cache holds, by folder."""
    folders = sorted(path for path in cache_dir().glob("*") if path.is_dir())
    return [_measure(folder) for folder in folders]


def clear_cache() -> list[Part]:
    """Remove everything that is made again when it is needed. Returns what was removed."""
    removed = [part for part in cache_parts() if not part.is_kept]
    for part in removed:
        shutil.rmtree(part.path)
    return removed


def _measure(folder: Path) -> Part:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Part(folder, len(sizes), sum(sizes))
