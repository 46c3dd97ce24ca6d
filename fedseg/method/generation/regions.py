"""Where in the server's images a class occurs, and how large: regions that the clients see.

A region is a connected set of cells that most of the clients who know the class, and two at least,
give to it. Of a class that they agree on nowhere, it is what any one of them gives to it. So no
label is needed to find it, and its place and size are plausible ones.
"""

from collections import defaultdict
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from fedseg.method.teachers import Teacher, class_list

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


ByTrainId = defaultdict[int, list[Region]]


class Regions:
    """By trainId, all regions of a class in the first images that the teachers have predicted.

    They are looked for, of all classes in one pass, when the first are asked for.
    """

    def __init__(self, images: int, teachers: list[Teacher]) -> None:
        self._images = images
        self._teachers = teachers
        self._classes = len(class_list(teachers))
        knowing = [[c in teacher.coverage for c in range(self._classes)] for teacher in teachers]
        self._knowing = np.array(knowing, bool).reshape(len(teachers), self._classes)
        self._majority = np.maximum(self._knowing.sum(axis=0) // 2 + 1, 2)

    def __getitem__(self, train_id: int) -> list[Region]:
        agreed, seen = self._found
        return agreed[train_id] or seen[train_id]

    def cells(self, index: int, train_id: int) -> np.ndarray:
        """bool [h, w]: cells of an image that this class's regions consist of."""
        agreed, _ = self._found
        return self._votes(index)[train_id] >= (self._majority[train_id] if agreed[train_id] else 1)

    @cached_property
    def _found(self) -> tuple[ByTrainId, ByTrainId]:
        """For each class the regions that most clients see, and those that any sees."""
        agreed: ByTrainId = defaultdict(list)
        seen: ByTrainId = defaultdict(list)
        for index in range(self._images if self._teachers else 0):
            votes = self._votes(index)
            for c in map(int, np.flatnonzero(votes.any(axis=(1, 2)))):
                agreed[c] += _connected(index, votes[c] >= self._majority[c])
                if not agreed[c]:
                    seen[c] += _connected(index, votes[c] > 0)
        return agreed, seen

    def _votes(self, index: int) -> np.ndarray:
        """int [C, h, w]: how many of the clients who know a class give a cell to it."""
        maps = [teacher.classes(index) for teacher in self._teachers]
        votes = np.zeros((self._classes, *maps[0].shape), np.int16)
        rows, columns = np.ogrid[tuple(map(slice, maps[0].shape))]
        for known, classes in zip(self._knowing, maps, strict=True):
            votes[classes, rows, columns] += known[classes]
        return votes


def draw_region(regions: list[Region], rng: np.random.Generator) -> Region:
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
