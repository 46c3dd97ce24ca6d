import os
import platform
import subprocess
import sys

import pytest
import torch

from fedseg import machine

KEEPS = """
import contextlib, ctypes, re, sys
from fedseg.machine import lean_memory, trim_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def taken(size):
    block = libc.malloc(size)
    ctypes.memset(ctypes.c_void_p(block), 1, size)
    return block

def resident():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmRSS:\\s+(\\d+)", status.read())[1]) // 1024

with lean_memory() if sys.argv[1] == "lean" else contextlib.nullcontext():
    libc.free(taken(16 * 2**20))  # from now on, glibc puts smaller ones into the heap
    before = resident()
    *others, last = [taken(2**20) for _ in range(100)]
    for block in others:  # the last is at the end of the heap
        libc.free(block)
    if sys.argv[1] == "trimmed":
        trim_memory()
    print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_freed_memory_is_given_back():
    kept = {}
    for how in ("lean", "trimmed", "plain"):
        command = [sys.executable, "-c", KEEPS, how]
        kept[how] = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert kept["plain"] > 90  # MB
    assert kept["lean"] < 10
    assert kept["trimmed"] < 10


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """Makes a machine of 8 cores and 64 GiB whose control groups are as given.

    pod(groups, mounts, files): lines of /proc/self/cgroup, lines of mountinfo as (root, mount
    point, kind, options), and contents of files by path.
    """

    def make(groups, mounts, files):
        proc = tmp_path / "proc"
        proc.mkdir()
        (proc / "cgroup").write_text("".join(f"{line}\n" for line in groups))
        lines = [
            f"{30 + n} 23 0:{n} {root} {point} rw,nosuid shared:9 - {kind} none {options}\n"
            for n, (root, point, kind, options) in enumerate(mounts)
        ]
        (proc / "mountinfo").write_text("".join(lines))
        for path, content in files.items():
            file = tmp_path / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{content}\n")
        monkeypatch.setattr(machine, "PROC", proc)
        monkeypatch.setattr(machine, "ROOT", tmp_path)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * 2**30 // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    return make


SECOND = ("/", "/sys/fs/cgroup", "cgroup2", "rw")
FIRST = [
    ("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
    ("/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max 100000", 8),
        ("100000 100000", 1),
        ("150000 100000", 1),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("20000 10000", 2),
        ("", 8),
        ("garbage", 8),
        ("0 0", 8),
    ],
)
def test_cpu_quota_of_version_2(pod, content, expected):
    pod(["0::/"], [SECOND], {"/sys/fs/cgroup/cpu.max": content})
    assert machine.cpus() == expected


@pytest.mark.parametrize(("quota", "expected"), [(-1, 8), (100000, 1), (350000, 3), (1000, 1)])
def test_cpu_quota_of_version_1(pod, quota, expected):
    files = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": 100000}
    folder = "/sys/fs/cgroup/cpu,cpuacct/docker/abc"
    groups = ["4:cpu,cpuacct:/docker/abc", "3:memory:/docker/abc", "0::/"]
    pod(groups, FIRST, {f"{folder}/{name}": value for name, value in files.items()})
    assert machine.cpus() == expected


def test_limits_of_a_group_above_count_too(pod):
    """As in Kubernetes, where a pod's limit may lie above its container's."""
    folder = "/sys/fs/cgroup/kubepods.slice/pod1.slice"
    files = {
        f"{folder}/cpu.max": "200000 100000",
        f"{folder}/cri-1.scope/cpu.max": "max 100000",
        f"{folder}/memory.max": 3 * 2**30,
        f"{folder}/cri-1.scope/memory.max": "max",
        f"{folder}/cri-1.scope/memory.high": 5 * 2**30,
    }
    pod(["0::/kubepods.slice/pod1.slice/cri-1.scope"], [SECOND], files)
    assert machine.cpus() == 2
    assert machine.memory() == 3 * 2**30


def test_a_container_that_sees_its_own_group_alone(pod):
    """Docker with version 1: the mount's root is the group, as the path of the process is."""
    mounts = [
        ("/docker/abc", "/sys/fs/cgroup/cpu", "cgroup", "ro,cpu"),
        ("/docker/abc", "/sys/fs/cgroup/memory", "cgroup", "ro,memory"),
    ]
    files = {
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": 200000,
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": 100000,
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": 2 * 2**30,
    }
    pod(["4:cpu:/docker/abc", "3:memory:/docker/abc"], mounts, files)
    assert machine.cpus() == 2
    assert machine.memory() == 2 * 2**30


def test_a_path_outside_of_the_mount(pod):
    """With a namespace of its own, a process that was moved has a path such as /../other."""
    files = {"/sys/fs/cgroup/cpu.max": "300000 100000"}
    pod(["0::/../other"], [SECOND], files)
    assert machine.cpus() == 3


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("9223372036854771712", 64 * 2**30),  # version 1: none
        (str(2**31), 2**31),
        ("-1", 64 * 2**30),
        ("max", 64 * 2**30),
        ("", 64 * 2**30),
    ],
)
def test_memory_limits(pod, limit, expected):
    files = {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes": limit}
    pod(["3:memory:/a"], FIRST, files)
    assert machine.memory() == expected


@pytest.mark.parametrize("groups", [[], ["garbage"], ["0::"]])
def test_without_control_groups(pod, groups):
    pod(groups if groups != ["garbage"] else ["9:name=systemd:/"], [], {})
    assert machine.cpus() == 8
    assert machine.memory() == 64 * 2**30


def test_affinity(pod, monkeypatch):
    pod(["0::/"], [SECOND], {"/sys/fs/cgroup/cpu.max": "400000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert machine.cpus() == 1


def test_torch_gets_no_more_threads_than_there_are_cpus(monkeypatch):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        monkeypatch.setattr(machine, "cpus", lambda: 8)
        machine.limit_threads()
        assert torch.get_num_threads() == 2  # whoever chose fewer keeps them
        monkeypatch.setattr(machine, "cpus", lambda: 1)
        machine.limit_threads()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
