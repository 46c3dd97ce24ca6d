"""Real processes in tests: which there are, and waiting for what they do."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def processes_of(folder: Path, command: str = "") -> dict[int, str]:
    """Command lines, by process id, of processes with a folder in their arguments or environment.

    Args:
        folder: named on the command line or in the environment.
        command: what the command line must hold.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            about = line + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in about and command.encode() in line:
            found[int(process.name)] = about[:200].decode(errors="replace")
    found.pop(os.getpid(), None)
    return found


def wait_until_gone(folder: Path, seconds: float = 10, command: str = "") -> None:
    """See that no process is left with a folder in its arguments or environment."""
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
