"""Weights in a Flower message: one array, the bytes of a safetensors file.

Flower takes each tensor of a state dict in as objects of their own, each a request and several
statements of one database transaction: with a model of a thousand tensors, seconds in which the
server answers nobody else.
"""

from pathlib import Path

from flwr.app import Array, ArrayRecord
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

FILE = "model.safetensors"


def to_record(weights: dict[str, Tensor]) -> ArrayRecord:
    """A model's weights as a message carries them."""
    return _record(save({name: tensor.contiguous() for name, tensor in weights.items()}))


def checkpoint_record(checkpoint: Path) -> ArrayRecord:
    """A checkpoint folder's weights likewise: its file, as it is."""
    return _record((checkpoint / FILE).read_bytes())


def from_record(record: ArrayRecord) -> dict[str, Tensor]:
    """The weights that a message carries; they are large, and the record is empty afterwards.

    Raises:
        KeyError: it holds no such array.
        ValueError: the array is no safetensors file.
    """
    try:
        return load(record.pop(FILE).data)
    except SafetensorError as error:
        raise ValueError(f"{FILE}: {error}") from None


def _record(data: bytes) -> ArrayRecord:
    return ArrayRecord({FILE: Array("uint8", (len(data),), "safetensors", data)})
