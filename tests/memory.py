"""Peak memory of this process in tests."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROCESS = Path("/proc/self")


@contextmanager
def little_memory(most: int = 300 * 2**20) -> Iterator[None]:
    """Within it, this process must not come to use more bytes than before by so many."""
    try:
        (PROCESS / "clear_refs").write_text("5")  # the peak so far is forgotten: proc(5)
    except OSError:
        pytest.skip("the peak of a process can't be measured here")
    before = _bytes("VmRSS")
    yield
    grown = _bytes("VmHWM") - before
    assert grown < most, f"{grown / 2**20:.0f} MiB"


def _bytes(what: str) -> int:
    [kib] = re.findall(rf"{what}:\s+(\d+) kB", (PROCESS / "status").read_text())
    return 1024 * int(kib)
