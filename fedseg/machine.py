"""The CPUs and the memory that this process may use, and what a training needs of them."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

ROOT, PROC = Path("/"), Path("/proc/self")
"""Where the file system and this process are described; tests put others here."""

PER_TRAINING = 4 * 2**30
"""Bytes of memory that a training is expected to need."""

PER_SIMULATION = 2560 * 2**20
"""Bytes of memory without which no simulation ends: measured with the smallest models, one client
at a time. Most of it is torch, in three processes, and Ray."""

# mallopt(3) of glibc: blocks of at least the first are each given back when they are freed; at the
# end of the heap, as soon as it has the second to spare.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
INITIAL, ADAPTED = 128 * 2**10, 32 * 2**20
"""Where glibc begins with the threshold, and where large blocks that are freed lead it."""


def cpus() -> int:
    """CPU cores that this process may use, at least 1.

    The smallest of its CPU affinity and the quotas of its control groups (Linux, version 1 and 2),
    such as `docker run --cpus` and Kubernetes set. Of a quota of 1.5 CPUs 1 is used.
    """
    is_linux = sys.platform == "linux"
    found = [float(len(os.sched_getaffinity(0)) if is_linux else os.cpu_count() or 1)]
    for folder in _control_groups("cpu"):
        quota = _numbers(folder / "cpu.max")  # version 2: "max 100000" or "150000 100000"
        quota += _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
        if len(quota) >= 2 and quota[0] > 0 and quota[1] > 0:
            found.append(quota[0] / quota[1])
    return max(int(min(found)), 1)


def memory() -> int:
    """Bytes of memory that this process may use.

    The smallest of the machine's and the limits of its control groups (Linux, version 1 and 2).
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _control_groups("memory"):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            found += [limit for limit in _numbers(folder / name) if limit > 0]
    return min(found)


def limit_threads(processes: int = 1) -> None:
    """Let torch use no more threads than CPUs: it counts the machine's, not a container's.

    Args:
        processes: that share the CPUs.
    """
    import torch

    share = max(cpus() // processes, 1)
    if torch.get_num_threads() > share:
        torch.set_num_threads(share)


def _control_groups(controller: str) -> Iterator[Path]:
    """Folders of the control groups that limit this process, from its own up to the topmost.

    See cgroups(7) and proc_pid_mountinfo(5): which group a process is in, and where the groups of
    a controller are mounted.
    """
    try:
        groups = (PROC / "cgroup").read_text().splitlines()
        mounts = (PROC / "mountinfo").read_text().splitlines()
    except OSError:
        return  # no Linux
    paths: dict[bool, str] = {}  # by whether it is of version 2
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            paths[not controllers] = path
    for line in mounts:
        fields, _, (kind, _, options) = _split_mount(line)
        is_second = kind == "cgroup2"
        if not is_second and (kind != "cgroup" or controller not in options.split(",")):
            continue
        if is_second not in paths:
            continue
        root, mount = fields[3], Path(ROOT, fields[4].lstrip("/"))
        below = os.path.relpath(paths[is_second], root)
        folder = mount if below.startswith("..") else mount / below
        while True:
            yield folder
            if folder == mount:
                break
            folder = folder.parent


def _split_mount(line: str) -> tuple[list[str], str, list[str]]:
    """A line of mountinfo: its fixed fields, and kind, source and options of the file system."""
    before, separator, after = line.partition(" - ")
    return before.split(" "), separator, [*after.split(" "), "", "", ""][:3]


def _numbers(path: Path) -> list[int]:
    """The whole numbers in a file; "max", which is no limit, is left out with all after it."""
    try:
        words = path.read_text().split()
    except OSError:
        return []
    return [int(word) for word in takewhile(lambda w: w.lstrip("-").isdigit(), words)]


def trim_memory() -> None:
    """Give freed memory back to the system, where the C library is glibc: malloc_trim(3)."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


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
