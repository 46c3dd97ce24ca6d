"""Real processes in tests: which there are, and waiting for what they do."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that were told of a folder, but for this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said and process.name != str(os.getpid()):
            found.append(said[:200].decode(errors="replace"))
    return found


def wait_until_gone(folder: Path, seconds: float = 10) -> None:
    """See that no process is left that was told of a folder."""
    wait_until(lambda: not processes_of(folder), seconds, lambda: str(processes_of(folder)))


def wait_until(
    is_so: Callable[[], bool], seconds: float, why: Callable[[], str] = lambda: ""
) -> None:
    """Wait for something, and fail with `why()` when it does not come."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {why()}"
        time.sleep(0.2)
