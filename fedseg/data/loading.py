"""Reading ahead: the one place where fedseg does work in threads.

Threads rather than worker processes, because decoding, resizing and augmentation happen in PIL,
OpenCV and numpy, which release the interpreter lock; nothing is forked under Ray, copied between
processes, or left behind by a kill, and a container's small /dev/shm does not matter.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from fedseg.machine import cpus

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """`map(function, items)`, in order, by that many threads; without any if it is only one."""
    if workers == 1:
        return map(function, items)
    return prefetch(function, items, workers, workers)


def prefetch(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int | None = None,
    ahead: int | None = None,
) -> Iterator[Result]:
    """`map(function, items)`, in order, computed by threads at most `ahead` items ahead.

    An error in `function` is raised where its result would have come.

    Args:
        function: called in threads.
        items: what it is called with.
        threads: how many; default: one a CPU core, but 2 to 8, beyond which a model is no faster.
        ahead: results that may wait; default: twice as many as threads.
    """
    items = iter(items)
    threads = threads or min(max(cpus(), 2), 8)
    ahead = ahead or 2 * threads
    with ThreadPoolExecutor(threads, thread_name_prefix="prefetch") as pool:
        pending = deque(pool.submit(function, item) for item in islice(items, ahead))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(items, 1))
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
