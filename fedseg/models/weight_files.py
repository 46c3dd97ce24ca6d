"""Files of weights, which others may have written: safetensors alone, in regular files.

What a file announces of its tensors is bounded before any of them is read, and a model is built
only for weights that announce its own names and shapes, so that it takes no more memory than they.
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fedseg.errors import FedsegError, first_line, plain
from fedseg.files import open_regular

MOST_HEADER = 2**23
"""Bytes of the table of names and shapes; that of the largest models has a hundredth of it."""
LONGEST_NAME, MOST_PARTS = 500, 40
"""Characters, and parts between dots, of a tensor's name."""
MOST_NUMBERS = 2**29
"""Numbers of one tensor: more than any layer of any model here has."""
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""By their names in a file."""


class WeightFile(Mapping[str, Tensor]):
    """The tensors of a safetensors file, each read when it is looked at: all are large.

    Attributes:
        announced: their outlines, tensors on torch's meta device.

    Raises:
        FedsegError: there is no such file, or it can't be read, or announces what no model has.
    """

    def __init__(self, path: Path) -> None:
        try:
            with open_regular(path) as file:
                _check_header(file)
                # By its number, as another file may have taken the place of this one. Of a file
                # that is mapped, all that was read would count as memory of ours.
                self._file: Any = _opened(f"/dev/fd/{file.fileno()}")
            self.announced = {name: self._announced(name) for name in self._file.keys()}  # noqa: SIM118
        except OSError as error:
            raise FedsegError(f"{path}: can't be read: {error.strerror or error}") from None
        except ValueError as error:
            raise FedsegError(f"{path}: can't be read: {first_line(error)}") from None

    def _announced(self, name: str) -> Tensor:
        if len(name) > LONGEST_NAME or name.count(".") >= MOST_PARTS:
            raise ValueError(f"the name of a tensor is too long: '{plain(name, 60)}'")
        entry = self._file.get_slice(name)
        shape, dtype = entry.get_shape(), str(entry.get_dtype())
        if dtype not in DTYPES or math.prod(shape) > MOST_NUMBERS:
            raise ValueError(f"tensor '{plain(name)}' holds {math.prod(shape)} numbers, {dtype}")
        return torch.empty(shape, dtype=DTYPES[dtype], device="meta")

    def __getitem__(self, name: str) -> Tensor:
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.announced)

    def __len__(self) -> int:
        return len(self.announced)


def _opened(path: str) -> Any:
    try:
        return safe_open(path, "pt", backend="pread")
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {first_line(error)}") from None


def _check_header(file: BinaryIO) -> None:
    """See that the table of tensors is short enough to be parsed."""
    length = int.from_bytes(os.pread(file.fileno(), 8, 0), "little")
    if length > MOST_HEADER:
        raise ValueError(f"not a safetensors file, or its header has more than {MOST_HEADER} bytes")


def announced_tensors(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights for their names, shapes and dtypes alone: nothing of a file is read for these."""
    known: Mapping[str, Tensor] = getattr(weights, "announced", weights)
    return known


def check_announced(
    wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor], whose: str
) -> None:
    """See that weights have exactly the names, shapes and dtypes that are wanted.

    Args:
        wanted: the tensors of a model, or their outlines.
        weights: tensors by name.
        whose: they are, for errors.

    Raises:
        FedsegError: the first thing that is wrong, `whose` it is, and in which tensor.
    """
    given = announced_tensors(weights)
    for kind, names in (
        ("lacks", wanted.keys() - given.keys()),
        ("has an unknown", given.keys() - wanted.keys()),
    ):
        if names:
            first = plain(min(names), LONGEST_NAME)
            raise FedsegError(f"{whose}: {kind} tensor '{first}' ({len(names)} in all)")
    for name, expected in wanted.items():
        tensor = given[name]
        if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
            raise FedsegError(
                f"{whose}: tensor '{name}' is {_kind(tensor)}, but must be {_kind(expected)}"
            )


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
