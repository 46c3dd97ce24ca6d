"""Weights in a Flower message: records of a few megabytes, each a safetensors file of some tensors.

Not an ArrayRecord of a tensor each: Flower takes every array in as objects of their own, each a
request and several statements of one database transaction, in which nobody else is answered. Nor
one of few large arrays: Flower keeps the pieces of all while it joins them, and receiving a
model takes its memory twice.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from flwr.app import ConfigRecord, RecordDict
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fedseg.flower.messages import SHARD

PREFIX, KEY = "weights-", "safetensors"


def to_records(weights: Mapping[str, Tensor]) -> dict[str, ConfigRecord]:
    """A model's weights as a message carries them, beside its other records."""
    return {
        f"{PREFIX}{number:05d}": ConfigRecord({KEY: save(shard)})
        for number, shard in enumerate(_shards(weights))
    }


def from_records(content: RecordDict) -> dict[str, Tensor]:
    """The weights that a message carries; they are large, and the message lacks them afterwards.

    Raises:
        ValueError: it carries none, a record is no safetensors file, or rows don't fit together.
    """
    parts: dict[str, list[Tensor]] = defaultdict(list)
    names = sorted(name for name in content if name.startswith(PREFIX))
    if not names:
        raise ValueError("it carries no weights")
    for name in names:
        try:
            shard = load(cast(bytes, content.pop(name).get(KEY)))
        except (SafetensorError, TypeError) as error:
            raise ValueError(f"{name}: {error}") from None
        for tensor, part in shard.items():
            parts[tensor].append(part)
    weights = {}
    while parts:
        tensor, rows = parts.popitem()
        try:
            weights[tensor] = rows[0] if len(rows) == 1 else torch.cat(rows)
        except RuntimeError as error:
            raise ValueError(f"{tensor}: {error}") from None
    return weights


def _shards(weights: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Tensors for a record each, at most `SHARD` bytes; a larger tensor is cut into rows."""
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in weights.items():
        for part in _cut(tensor):
            if shard and (name in shard or size + part.nbytes > SHARD):
                yield shard
                shard, size = {}, 0
            shard[name] = part.contiguous()
            size += part.nbytes
    yield shard


def _cut(tensor: Tensor) -> tuple[Tensor, ...]:
    if tensor.nbytes <= SHARD:
        return (tensor,)
    return torch.split(tensor, max(SHARD * len(tensor) // tensor.nbytes, 1))
