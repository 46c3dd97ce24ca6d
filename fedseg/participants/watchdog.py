"""Giving up on work that hangs, takes too long, takes too much memory, or is wanted no more."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psutil

from fedseg.errors import PublicError
from fedseg.run.progress import Progress

Result = TypeVar("Result")
Guard = Callable[[], str | None]
"""Called about once a second; returns why the work is to be given up, or None."""
STALL = 600.0
"""Seconds without progress after which work has stalled: more than a step or an image takes."""


def watched(
    work: Callable[[Progress], Result],
    progress: Progress,
    *guards: Guard,
    stall: float = STALL,
) -> Result:
    """Run `work(progress)`; give up when it makes no progress for `stall` seconds, or a guard says.

    Work that hangs (a dead network drive, a driver that does not come back) can't be interrupted,
    only left behind: it stays in a daemon thread.

    Args:
        work: what to do.
        progress: receives its progress.
        guards: further reasons to give up.
        stall: seconds.

    Raises:
        PublicError: the work was given up. Whatever it raises itself, else.
    """
    outcome: dict[str, Any] = {}
    heard = time.monotonic()

    def notify(*args: Any, **details: float) -> None:
        nonlocal heard
        heard = time.monotonic()
        progress(*args, **details)

    def run() -> None:
        try:
            outcome["result"] = work(notify)
        except BaseException as error:  # carried over to the waiting thread
            outcome["error"] = error

    thread = threading.Thread(target=run, name="client", daemon=True)
    thread.start()
    while thread.is_alive():
        if time.monotonic() - heard > stall:
            raise PublicError(f"no progress for {stall:g} s; gave up")
        for guard in guards:
            if reason := guard():
                raise PublicError(reason)
        thread.join(timeout=min(stall / 4, 1.0))
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def time_limit(seconds: float, setting: str) -> Guard:
    """Give up after some seconds from now; `setting` is the name of what sets them."""
    deadline = time.monotonic() + seconds

    def guard() -> str | None:
        late = time.monotonic() > deadline
        return f"not done within {seconds:g} s; gave up ({setting})" if late else None

    return guard


def memory_limit(most: int) -> Guard:
    """Give up when this process and those it started hold more than `most` bytes of memory."""

    def guard() -> str | None:
        if (held := resident_memory()) <= most:
            return None
        return (
            f"{held / 2**30:.1f} GiB of memory in use, but {most / 2**30:.1f} allowed; gave up "
            "(node.toml, limits.memory)"
        )

    return guard


def every(seconds: float, guard: Guard) -> Guard:
    """A guard that is asked less often."""
    next_time = time.monotonic() + seconds

    def rarely() -> str | None:
        nonlocal next_time
        if time.monotonic() < next_time:
            return None
        next_time = time.monotonic() + seconds
        return guard()

    return rarely


def resident_memory() -> int:
    """Bytes of memory that this process and those it started hold."""
    process = psutil.Process()
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_info().rss
        except psutil.Error:  # it ended meanwhile
            continue
    return total
