"""Blocks that one process at a time is in."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedseg.files import PRIVATE


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes and threads out of such a block for the same file.

    The file stays: one that is removed or replaced could be locked twice.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given up when the file is closed
        yield
