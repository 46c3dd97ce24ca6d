"""This machine's memory, and what a training is reckoned to need of it."""

import os

PER_TRAINING = 4 * 2**30
"""Bytes of memory that a training is reckoned to need."""


def physical_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
