"""This machine's memory, and what a training is reckoned to need of it."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

PER_TRAINING = 4 * 2**30
"""Bytes of memory that a training is reckoned to need."""

# mallopt(3) of glibc: blocks of at least the first are each given back when they are freed; at the
# end of the heap, as soon as it has the second to spare.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
INITIAL, ADAPTED = 128 * 2**10, 32 * 2**20
"""Where glibc begins with the threshold, and where large blocks that are freed lead it."""


def physical_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cpus() -> int:
    return len(os.sched_getaffinity(0))


@contextmanager
def lean_memory() -> Iterator[None]:
    """Within it, memory that is freed goes back to the system at once.

    Where large blocks come and go, the heap else ends as twice what was ever needed. Not for a
    training: that it makes 1.4 times as slow. A C library other than glibc is left as it is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, INITIAL)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, ADAPTED)
        mallopt(M_TRIM_THRESHOLD, 2 * ADAPTED)
