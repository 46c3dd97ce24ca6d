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

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Result]:
    """`map(function, items)`, in order, computed by threads at most `ahead` items ahead.

    An error in `function` is raised where its result would have come.
    """
    items = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="prefetch") as pool:
        pending = deque(pool.submit(function, item) for item in islice(items, ahead))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(items, 1))
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
