"""A picture with an edge, to see whether what is made of it keeps the edge in its place."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from fedseg.config import Source
from fedseg.data.dataset import Dataset, open_dataset

TOLERANCE = 0.05
"""Pixels by which edges may differ, on average over many places."""


def edge(size: tuple[int, int], place: float, axis: int) -> np.ndarray:
    """uint8 [*size]: 1 from a place on, in parts of the side, else 0; whole pixels only."""
    positions = (np.arange(size[axis]) + 0.5) / size[axis]
    is_behind = (positions > place).astype(np.uint8)
    return np.broadcast_to(is_behind[:, None] if axis == 0 else is_behind, size).copy()


def black_and_white(label: np.ndarray) -> np.ndarray:
    """The image of such a label, uint8 [H, W, 3]: 0 or 255."""
    return np.repeat(label[..., None] * np.uint8(255), 3, axis=2)


def write_edges(folder: Path, size: tuple[int, int], axis: int, count: int = 60) -> Dataset:
    """A labelled dataset of such pictures, whose edges are spread over the middle."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number, place in enumerate(np.linspace(0.3, 0.7, count)):
        label = edge(size, place, axis)
        Image.fromarray(black_and_white(label)).save(folder / f"images/{number:02d}.png")
        Image.fromarray(label).save(folder / f"labels/{number:02d}.png")
    return open_dataset(Source(dataset="folder", root=folder))


def place_of(array: np.ndarray, axis: int) -> float:
    """Where the edge lies in an array of 0..1, [H, W], in pixels along an axis.

    It is the length of what is below 1, so a soft edge lies where it is half way.
    """
    ahead = (1 - array.astype(float)).mean(axis=1 - axis)
    first, last = ahead[0], ahead[-1]
    assert first > 0.99 or last > 0.99, "no edge"
    return float(ahead.sum() if first > last else len(ahead) - ahead.sum())


class Brightness(nn.Module):
    """A model that sees class 1 where an image is bright, and class 0 where it is dark."""

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.full((classes, 1, 1), -99.0))

    def forward(self, images: Tensor) -> Tensor:
        """float [N, 3, H, W] to [N, C, H, W]."""
        scores = self.scores.expand(len(images), -1, *images.shape[2:]).clone()
        light = images.mean(dim=1)
        middle = (light.amin() + light.amax()) / 2
        scores[:, 0], scores[:, 1] = 9 * (middle - light), 9 * (light - middle)
        return scores
