"""Where things lie, and how a file comes into being: whole or not at all."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs


def app_dir() -> Path:
    """The Flower app's folder (pyproject.toml, clients/, server/, datasets/, examples/).

    In a wheel it lies inside the package; in a checkout it is the repository's root.
    """
    package = Path(__file__).resolve().parent
    bundled = package / "_app"
    return bundled if bundled.is_dir() else package.parent


def cache_dir() -> Path:
    """fedseg's cache: rendered streetsim images and surveys of datasets. Safe to delete.

    The environment variable FEDSEG_CACHE overrides the platform's usual place.
    """
    chosen = os.environ.get("FEDSEG_CACHE")
    return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("fedseg")


@contextmanager
def atomic_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    Until then, nobody but its owner can read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_file`, for a folder; one that is there already is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what is left in a folder of the two above, where their process was killed."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\..+\.[a-z0-9_]{8}(\.\w+)?", path.name):  # as tempfile makes them
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file atomically."""
    with atomic_file(path, mode) as temporary:
        temporary.write_bytes(content)


def is_disk_full(error: Exception) -> bool:
    """Whether something could not be written for want of space.

    Args:
        error: what was raised by whoever wrote; safetensors and SQLite say it only in words.
    """
    words = os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "database or disk is full"
    return any(said in str(error) for said in words)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented for people."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def digest(*parts: object) -> str:
    """A short stable name (16 hex digits) for anything whose `repr` is stable."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:16]
