"""Arrays on disk that notice when they were damaged or exchanged.

NumPy's .npz is a zip archive, which holds a checksum (CRC-32) of its content. Reading verifies it,
so these files need not be forced to the disk one by one: what a power failure spoils is noticed.
Beside the array stands the name it was written under, which says what it was made from.
"""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from fedseg.files import DamagedFile, atomic_file, damaged_file

SUFFIX = ".npz"


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array atomically; `path` ends in .npz."""
    with atomic_file(path, durable=False) as temporary:
        np.savez(temporary, array=np.ascontiguousarray(array), name=_name(path))


def write_planes(path: Path, array: np.ndarray) -> None:
    """Write an array [h, w, c] like `write_array`, compressed plane by plane.

    Probabilities of classes are smooth within a plane, so that this takes a fifth of the space.
    Beside them is kept which plane is largest where, for `read_largest`.
    """
    planes = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    largest = array.argmax(axis=-1).astype(np.uint8)
    with atomic_file(path, durable=False) as temporary:
        np.savez_compressed(temporary, planes=planes, largest=largest, name=_name(path))


def read_array(path: Path) -> np.ndarray:
    """Read what `write_array` or `write_planes` wrote.

    Raises:
        DamagedFile: the file is truncated, its checksum does not fit its content, or it was
            written under another name.
        FileNotFoundError: there is no such file.
    """
    return _read(path, _array)


def read_largest(path: Path) -> np.ndarray:
    """Which of the planes that `write_planes` wrote is largest, the first of equals: uint8 [h, w].

    Raises as `read_array` does.
    """
    return _read(path, lambda archive: archive["largest"])


def _array(archive: NpzFile) -> np.ndarray:
    if "planes" in archive:
        return np.ascontiguousarray(np.moveaxis(archive["planes"], 0, -1))
    return archive["array"]


def _all_of_it(archive: NpzFile) -> np.ndarray:
    """The array, once what stands beside it was read too."""
    if "planes" in archive:
        archive["largest"]
    return _array(archive)


def _read(path: Path, part: Callable[[NpzFile], np.ndarray]) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            name = str(archive["name"])
            array = part(archive)
    except FileNotFoundError:
        raise
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,  # np.load gives a bare array for a .npy file under this name
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise damaged_file(path, error) from None
    if name != _name(path):
        raise damaged_file(path, f"it was written as {name}")
    return array


def is_whole(path: Path) -> bool:
    """Whether an array is there and undamaged."""
    try:
        _read(path, _all_of_it)
    except (FileNotFoundError, DamagedFile):
        return False
    return True


def _name(path: Path) -> str:
    """The file and its folder: all of the path that stays when a run or a cache is moved."""
    return "/".join(path.parts[-2:])
