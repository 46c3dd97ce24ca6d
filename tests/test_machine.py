import platform
import subprocess
import sys

import pytest

KEEPS = """
import contextlib, ctypes, re, sys
from fedseg.machine import lean_memory

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
    print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_freed_memory_is_given_back():
    kept = {}
    for how in ("lean", "plain"):
        command = [sys.executable, "-c", KEEPS, how]
        kept[how] = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert kept["plain"] > 90  # MB
    assert kept["lean"] < 10
