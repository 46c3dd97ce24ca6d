"""Real processes in tests: which there are, and waiting for what they do."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def processes_of(folder: Path, command: str = "") -> dict[int, str]:
    """Command lines of the processes that were told of a folder, but for this one, by their ids.

    Args:
        folder: named on the command line or in the environment.
        command: what the command line must hold.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            said = line + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said and command.encode() in line:
            found[int(process.name)] = said[:200].decode(errors="replace")
    found.pop(os.getpid(), None)
    return found


def wait_until_gone(folder: Path, seconds: float = 10, command: str = "") -> None:
    """See that no process is left that was told of a folder."""
    wait_until(
        lambda: not processes_of(folder, command),
        seconds,
        lambda: str(processes_of(folder, command)),
    )


def wait_until(
    is_so: Callable[[], bool], seconds: float, why: Callable[[], str] = lambda: ""
) -> None:
    """Wait for something, and fail with `why()` when it does not come."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {why()}"
        time.sleep(0.2)
