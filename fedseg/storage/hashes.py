"""Hashes of content: of weights, and of files, remembered as long as the file does not change."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedseg.errors import FedsegError
from fedseg.files import DamagedFile, cache_dir, digest, file_sha256, read_json, write_json
from fedseg.machine import cpus

if TYPE_CHECKING:
    import torch

SETTLED = 2_000_000_000
"""Nanoseconds after its last change from which a file's times tell whether it changed again: file
systems count time in steps, of two seconds at the most (compare Git's "racy" index entries)."""

Hashes = dict[str, list[Any]]
"""By file name: size, times of change, inode, and the hash of the content."""


def file_hashes(files: Sequence[Path]) -> list[str]:
    """A hash of the content of each file.

    Hashes are remembered in the cache with each file's size, times and inode, so that a file is
    read again only when one of these changed.

    Args:
        files: the files.

    Returns:
        32 hexadecimal digits for each file, in order: half of its SHA-256.

    Raises:
        FedsegError: a file is missing or can't be read.
    """
    remembered = {folder: _remembered(folder) for folder in {path.parent for path in files}}
    hashes: list[str] = []
    new: dict[Path, Hashes] = {}
    with ThreadPoolExecutor(cpus(), thread_name_prefix="hash") as pool:
        entries = pool.map(partial(_entry, remembered), files)
        for path, (entry, is_new) in zip(files, entries, strict=True):
            hashes.append(entry[-1])
            if is_new and time.time_ns() - entry[2] > SETTLED:
                new.setdefault(path.parent, {})[path.name] = entry
    for folder, found in new.items():
        with suppress(OSError):  # without a cache, files are read again
            write_json(_memory(folder), remembered[folder] | found, durable=False)
    return hashes


def known_hashes(files: Sequence[Path]) -> list[str | None]:
    """A hash of the content of each file; None for one that is missing."""
    found = [path for path in files if path.is_file()]
    by_path = dict(zip(found, file_hashes(found), strict=True))
    return [by_path.get(path) for path in files]


def content_hash(weights: "Mapping[str, torch.Tensor]") -> str:
    """SHA-256, in hexadecimal, over the tensors' names and values, whatever file they came in."""
    hasher = hashlib.sha256()
    for name in sorted(weights):
        hasher.update(name.encode())
        hasher.update(weights[name].detach().cpu().contiguous().numpy().data)
    return hasher.hexdigest()


def _entry(remembered: dict[Path, Hashes], path: Path) -> tuple[list[Any], bool]:
    """A file's entry, and whether it is new."""
    try:
        found = path.stat()
        key = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        known = remembered[path.parent].get(path.name)
        if isinstance(known, list) and len(known) == 5 and known[:4] == key:
            return known, False
        return [*key, file_sha256(path)[:32]], True
    except OSError as error:
        raise FedsegError(f"{path}: can't be read ({error.strerror})") from None


def _memory(folder: Path) -> Path:
    return cache_dir() / "hashes" / f"{digest(str(folder.absolute()))}.json"


def _remembered(folder: Path) -> Hashes:
    try:
        return read_json(_memory(folder))
    except (OSError, DamagedFile):
        return {}
