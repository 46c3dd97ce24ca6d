"""Running a model over whole images, as a protocol says."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.config import Protocol
from fedseg.data.loading import prefetch
from fedseg.errors import ModelError
from fedseg.machine import limit_threads
from fedseg.models.build import check_size
from fedseg.models.checkpoints import Info
from fedseg.training.loop import normalise
from fedseg.training.optimisation import autocast

Item = TypeVar("Item")
Views = tuple[np.ndarray, ...]

BATCH_PIXELS = 2**18
"""Input pixels a batch may have: small images gain from batches, large ones only cost memory."""

PLAIN = Protocol()
"""Whole images at the model's own height, once."""


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


def view_sizes(
    height: int, width: int, info: Info, protocol: Protocol = PLAIN
) -> list[tuple[int, int]]:
    """Sizes at which a model sees an image of that height and width, one for each scale."""
    match protocol.height:
        case "model":
            rows = info.inference_height
        case "original":
            rows = height
        case rows:
            pass
    return [input_size(height, width, info, scale * rows) for scale in protocol.scales]


def infer(
    network: nn.Module,
    info: Info,
    read: Callable[[Item], np.ndarray],
    items: Iterable[Item],
    protocol: Protocol = PLAIN,
) -> Iterator[tuple[Item, np.ndarray, Tensor]]:
    """Run a model over images, in order, in batches, reading ahead.

    Args:
        network: in evaluation mode.
        info: of the model.
        read: reads an image, uint8 [H, W, 3], RGB; called in threads.
        items: what `read` takes.
        protocol: sizes, windows and flips.

    Yields:
        Each item, its image, and its logits, float32 [C, h, w] on the model's device, at the
        first of its `view_sizes`. Where several views are averaged: the logarithm of their mean
        probabilities.

    Raises:
        ModelError: the model can't take images of such a size, or its output is not finite.
    """

    def load(item: Item) -> tuple[Item, np.ndarray, Views]:
        image = read(item)
        sizes = view_sizes(image.shape[0], image.shape[1], info, protocol)
        return item, image, tuple(_resized(image, *size) for size in sizes)

    limit_threads()
    loaded = prefetch(load, items)
    for shapes, alike in groupby(loaded, key=lambda entry: [view.shape for view in entry[2]]):
        largest = max(rows * columns for rows, columns, _ in shapes)
        for batch in _chunks(alike, max(BATCH_PIXELS // largest, 1)):
            views = [np.stack(same) for same in zip(*(entry[2] for entry in batch), strict=True)]
            try:
                logits = _logits(network, info, views, protocol)
            except Exception:  # models raise anything for a size that they can't take
                for rows, columns, _ in shapes:
                    rows, columns = protocol.window or (rows, columns)
                    check_size(info.model, (rows, columns))
                raise
            if not torch.isfinite(logits.sum()):  # of which the most probable class is always 0
                raise ModelError(
                    "the model's output holds NaN or infinity: its weights are damaged, or too "
                    "large for the arithmetic"
                )
            for (item, image, _), scores in zip(batch, logits, strict=True):
                yield item, image, scores


def resize(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 [C, h, w] to [C, *size], bilinearly."""
    if scores.shape[1:] == size:
        return scores
    return F.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0]


def _resized(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    if image.shape[:2] == (rows, columns):
        return image
    interpolation = cv2.INTER_AREA if rows < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(image, (columns, rows), interpolation=interpolation)


@torch.inference_mode()
def _logits(network: nn.Module, info: Info, views: list[np.ndarray], protocol: Protocol) -> Tensor:
    """One batch's views, each uint8 [N, h, w, 3], to float32 [N, C, h, w] of the first view."""
    device = next(network.parameters()).device
    size = views[0].shape[1:3]
    seen = []
    for view in views:
        batch = normalise(torch.from_numpy(view).to(device), info.normalisation)
        seen.append(_forward(network, batch, protocol.window))
        if protocol.flip:
            seen.append(_forward(network, batch.flip(3), protocol.window).flip(3))
    if len(seen) == 1:
        return seen[0]
    probabilities = torch.zeros_like(seen[0])
    for logits in seen:
        if logits.shape[2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        probabilities += logits.softmax(dim=1) / len(seen)
    return probabilities.clamp(min=1e-12).log()


def _forward(network: nn.Module, batch: Tensor, window: tuple[int, int] | None) -> Tensor:
    """float32 [N, 3, H, W] to logits; where windows overlap, the mean of theirs."""
    with autocast(batch.device, "auto"):
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
