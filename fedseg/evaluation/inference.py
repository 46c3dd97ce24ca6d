"""Running a model over whole images, as a protocol says."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from itertools import count, groupby
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.config import Protocol
from fedseg.data.loading import prefetch, spread
from fedseg.data.shards import BLOCK
from fedseg.errors import ModelError
from fedseg.machine import limit_threads
from fedseg.models.build import check_size
from fedseg.models.checkpoints import Info
from fedseg.resize import resize_image
from fedseg.training.loop import normalise
from fedseg.training.optimisation import autocast

Item = TypeVar("Item")

BATCH_PIXELS = 2**18
"""Input pixels a batch may have: small images gain from batches, large ones only cost memory."""

PLAIN = Protocol()
"""Whole images at the model's own height."""


def input_size(height: int, width: int, info: Info, rows: float | None = None) -> tuple[int, int]:
    """Size at which a model sees an image of that height and width, in its proportions.

    Args:
        height: of the image in pixels.
        width: likewise.
        info: of the model.
        rows: height to which the image is resized; None: the model's own.

    Returns:
        Height and width, rounded to multiples of the model's stride.
    """
    rounded = max(round((rows or info.inference_height) / info.stride), 1) * info.stride
    return rounded, max(round(rounded * width / height / info.stride), 1) * info.stride


def view_size(height: int, width: int, info: Info, protocol: Protocol = PLAIN) -> tuple[int, int]:
    """Size at which a model sees an image of that height and width, as a protocol says."""
    match protocol.height:
        case "model":
            rows = info.inference_height
        case "original":
            rows = height
        case rows:
            pass
    return input_size(height, width, info, rows)


def infer(
    network: nn.Module,
    info: Info,
    read: Callable[[Item], np.ndarray],
    items: Iterable[Item],
    protocol: Protocol = PLAIN,
    devices: Sequence[torch.device] | None = None,
) -> Iterator[tuple[Item, np.ndarray, Tensor]]:
    """Run a model over images, in order, in batches, reading ahead.

    Args:
        network: in evaluation mode.
        info: of the model.
        read: reads an image, uint8 [H, W, 3], RGB; called in threads.
        items: what `read` takes.
        protocol: sizes and windows.
        devices: that share the batches, each with a copy of the model. Default: the model's own,
            and all GPUs if it is on one. The results are the same, however many there are.

    Yields:
        Each item, its image, and its logits, float32 [C, h, w] on one of the devices, at its
        `view_size`.

    Raises:
        ModelError: the model can't take images of such a size, or its output is not finite.
    """

    def load(item: Item) -> tuple[Item, np.ndarray, np.ndarray]:
        image = read(item)
        size = view_size(image.shape[0], image.shape[1], info, protocol)
        return item, image, resize_image(image, size)

    limit_threads()
    places = devices_of(network) if devices is None else devices
    copies = {0: network}
    idle: SimpleQueue[int] = SimpleQueue()
    for place in range(len(places)):
        idle.put(place)

    def label(
        batch: list[tuple[Item, np.ndarray, np.ndarray]],
    ) -> list[tuple[Item, np.ndarray, Tensor]]:
        views = np.stack([view for _, _, view in batch])
        place = idle.get()
        try:
            if place not in copies:
                copies[place] = deepcopy(network).to(places[place])
            logits = _checked_logits(copies[place], info, views, protocol)
        finally:
            idle.put(place)
        return [(item, image, own) for (item, image, _), own in zip(batch, logits, strict=True)]

    for labelled in spread(label, _batches(prefetch(load, items)), len(places)):
        yield from labelled


def devices_of(network: nn.Module) -> list[torch.device]:
    """The devices that a model can be run on: all GPUs if it is on one, its own first."""
    own = next(network.parameters()).device
    gpus = [torch.device("cuda", place) for place in range(torch.cuda.device_count())]
    return [own, *(gpu for gpu in gpus if gpu != own)] if own.type == "cuda" else [own]


def _batches(
    loaded: Iterable[tuple[Item, np.ndarray, np.ndarray]],
) -> Iterator[list[tuple[Item, np.ndarray, np.ndarray]]]:
    """Images of a block that are seen at the same size, as many as go together."""
    places = count()

    def kind(entry: tuple[Item, np.ndarray, np.ndarray]) -> tuple[int, tuple[int, ...]]:
        return next(places) // BLOCK, entry[2].shape

    for (_, (rows, columns, _)), alike in groupby(loaded, key=kind):
        yield from _chunks(alike, max(BATCH_PIXELS // (rows * columns), 1))


def _checked_logits(
    network: nn.Module, info: Info, views: np.ndarray, protocol: Protocol
) -> Tensor:
    """`_logits`, which are finite.

    Raises:
        ModelError: they are not, or the model can't take images of such a size.
    """
    try:
        logits = _logits(network, info, views, protocol)
    except Exception:  # models raise anything for a size that they can't take
        check_size(info.model, protocol.window or views.shape[1:3])
        raise
    if not torch.isfinite(logits.sum()):  # of which the most probable class is always 0
        raise ModelError(
            "the model's output holds NaN or infinity: its weights are damaged, or too "
            "large for the arithmetic"
        )
    return logits


def resize(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 [C, h, w] to [C, *size], bilinearly."""
    if scores.shape[1:] == size:
        return scores
    return F.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0]


@torch.inference_mode()
def _logits(network: nn.Module, info: Info, views: np.ndarray, protocol: Protocol) -> Tensor:
    """uint8 [N, H, W, 3] to logits, float32 [N, C, H, W]; where windows overlap, their mean."""
    device, window = next(network.parameters()).device, protocol.window
    batch = normalise(torch.from_numpy(views).to(device), info.normalisation)
    with autocast(device, "auto"):
        if window is None:
            return network(batch).float()
        height, width = batch.shape[2:]
        rows, columns = min(window[0], height), min(window[1], width)
        total, count = None, batch.new_zeros(height, width)
        for top in _starts(height, rows):
            for left in _starts(width, columns):
                place = (..., slice(top, top + rows), slice(left, left + columns))
                logits = network(batch[place]).float()
                if total is None:
                    total = logits.new_zeros(*logits.shape[:2], height, width)
                total[place] += logits
                count[place[1:]] += 1
        assert total is not None
        return total / count


def _starts(length: int, window: int) -> list[int]:
    """Where windows start: two thirds of a window apart, the last one flush with the end."""
    step = max(window * 2 // 3, 1)
    return [*range(0, length - window, step), length - window]


def _chunks(entries: Iterator[Item], size: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
