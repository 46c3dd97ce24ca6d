"""Running a model over whole images."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.checkpoints import STRIDE, Info
from fedseg.data.loading import prefetch
from fedseg.training import autocast, normalise

Item = TypeVar("Item")

BATCH_PIXELS = 2**18
"""Input pixels a batch may have: small images gain from batches, large ones only cost memory."""


def input_size(height: int, width: int, info: Info) -> tuple[int, int]:
    """Size at which a model sees an image: its inference height, the image's own proportions.

    Both rounded to multiples of 32 pixels.
    """
    rows = max(round(info.inference_height / STRIDE), 1) * STRIDE
    columns = max(round(rows * width / height / STRIDE), 1) * STRIDE
    return rows, columns


def infer(
    network: nn.Module,
    info: Info,
    read: Callable[[Item], np.ndarray],
    items: Sequence[Item],
) -> Iterator[tuple[Item, np.ndarray, Tensor]]:
    """Run a model over images, in order, in batches, reading ahead.

    Args:
        network: in evaluation mode.
        info: of the model.
        read: reads an image, uint8 [H, W, 3], RGB; called in threads.
        items: what `read` takes.

    Yields:
        Each item, its image, and its logits, float32 [19, h, w] on the model's device, at
        `input_size`.
    """

    def load(item: Item) -> tuple[Item, np.ndarray, np.ndarray]:
        image = read(item)
        rows, columns = input_size(*image.shape[:2], info)
        shrinks = rows < image.shape[0]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return item, image, cv2.resize(image, (columns, rows), interpolation=interpolation)

    loaded = prefetch(load, items, threads=2, ahead=8)
    for shape, same_size in groupby(loaded, key=lambda entry: entry[2].shape):
        for batch in _chunks(same_size, max(BATCH_PIXELS // (shape[0] * shape[1]), 1)):
            inputs = np.stack([resized for _, _, resized in batch])
            for (item, image, _), scores in zip(batch, _logits(network, info, inputs), strict=True):
                yield item, image, scores


def probabilities(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Class probabilities, float32 [19, H, W], of logits [19, h, w], at another size."""
    return resize(logits, size).softmax(dim=0)


def resize(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 [C, h, w] to [C, *size], bilinearly."""
    return F.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0]


@torch.inference_mode()
def _logits(network: nn.Module, info: Info, images: np.ndarray) -> Tensor:
    """uint8 [N, h, w, 3] to float32 [N, 19, h, w]."""
    device = next(network.parameters()).device
    batch = normalise(torch.from_numpy(images).to(device), info.normalisation)
    with autocast(device, "auto"):
        return network(batch).float()


def _chunks(entries: Iterator[Item], size: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
