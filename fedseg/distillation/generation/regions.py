"""Where in the server's images a class occurs, and how large: regions that the clients agree on.

A region is a connected set of cells that most of the clients who know the class, and two at least,
give to it. So no label is needed to find it, and its place and size are plausible ones.
"""

from typing import NamedTuple

import cv2
import numpy as np

from fedseg.distillation.teachers import Teacher

SMALLEST = 6
"""Cells of the prediction grid that a region must have to be worth anything."""


class Region(NamedTuple):
    """A connected region of one class, on the prediction grid of an image."""

    image: int
    top: float  # in parts of the image, like all of these
    left: float
    height: float
    width: float
    area: float


class Regions(dict[int, list[Region]]):
    """By trainId, all regions of a class in the first images that the teachers have predicted.

    They are looked for when they are first asked for.
    """

    def __init__(self, images: int, teachers: list[Teacher]) -> None:
        super().__init__()
        self._images = images
        self._teachers = teachers

    def __missing__(self, train_id: int) -> list[Region]:
        self[train_id] = find_regions(self._images, self._teachers, train_id)
        return self[train_id]


def find_regions(images: int, teachers: list[Teacher], train_id: int) -> list[Region]:
    """All regions of a class in the first images that the teachers have predicted."""
    return [
        region
        for index in range(images)
        for region in _connected(index, agreed(index, teachers, train_id))
    ]


def agreed(index: int, teachers: list[Teacher], train_id: int) -> np.ndarray:
    """bool [h, w]: cells of an image that the teachers agree to be of that class."""
    votes = [
        teacher.probabilities(index).argmax(axis=-1) == train_id
        for teacher in teachers
        if train_id in teacher.coverage
    ]
    return np.sum(votes, axis=0) > max(1, len(votes) / 2)


def draw(regions: list[Region], rng: np.random.Generator) -> Region:
    """One of the regions, a larger one sooner, or the many tiny ones would crowd it out."""
    weights = np.sqrt([region.area for region in regions])
    return regions[rng.choice(len(regions), p=weights / weights.sum())]


def _connected(index: int, cells: np.ndarray) -> list[Region]:
    if not cells.any():
        return []
    _, _, stats, _ = cv2.connectedComponentsWithStats(cells.astype(np.uint8), connectivity=8)
    rows, columns = cells.shape
    return [
        Region(index, y / rows, x / columns, h / rows, w / columns, count / cells.size)
        for x, y, w, h, count in stats[1:]
        if count >= SMALLEST
    ]
