"""Starts Mitsuba and says what is missing if it cannot."""

import ctypes.util
import os
from pathlib import Path

from fedseg.errors import FedsegError

VARIANT = "llvm_ad_rgb"
NEWEST, OLDEST = 20, 17
"""Versions of LLVM that work; 14 and 15 crash."""


def start():
    """Mitsuba, Dr.Jit; raises FedsegError without the extra or without LLVM."""
    library = _llvm()
    os.environ.setdefault("DRJIT_LIBLLVM_PATH", library)
    try:
        import drjit
        import mitsuba
    except ImportError:
        raise FedsegError(
            "rendering needs Mitsuba; install it: pip install 'fedseg[benchmarks]'"
        ) from None
    mitsuba.set_variant(VARIANT)
    return mitsuba, drjit


def _llvm():
    """The path of an LLVM that Dr.Jit can use."""
    given = os.environ.get("DRJIT_LIBLLVM_PATH")
    if given:
        return given
    for version in range(NEWEST, OLDEST - 1, -1):
        name = f"libLLVM.so.{version}.1"
        found = [*Path("/usr/lib").glob(f"*/{name}"), *Path("/usr/lib").glob(name)]
        if found:
            return str(found[0])
        named = ctypes.util.find_library(f"LLVM-{version}")
        if named:
            return named
    raise FedsegError(
        f"rendering needs LLVM {OLDEST} or newer; on Debian and Ubuntu: apt-get install "
        "libllvm19. If it is elsewhere, set DRJIT_LIBLLVM_PATH to the library"
    )
