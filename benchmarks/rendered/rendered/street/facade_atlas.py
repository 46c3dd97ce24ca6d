"""The sixteen facades of one street in a single bitmap."""

import cv2
import numpy as np

from ..labels import BUILDING
from ..textures.facades import SIZE

SIDE = 4
"""Facades in a row."""


class FacadeAtlas:
    """Chooses the facades and puts them on walls."""

    def __init__(self, street):
        self.mesh, self.rng = street.mesh, street.rng
        size = SIDE * SIZE
        self.image = np.zeros((size, size, 3), np.uint8)
        self.roughness = np.full((size, size), 220, np.uint8)
        self.cells = []  # (kind, width, height in metres)
        for i, kind in enumerate(street.world.facades):
            self._add(i, kind, street.assets.facade(kind, int(self.rng.integers(64))))

    def _add(self, i, kind, facade):
        image, roughness, width, height = facade
        row, column = divmod(i, SIDE)
        tint = self.rng.normal(1, 0.05, 3) * self.rng.uniform(0.85, 1.1)
        levels = np.arange(256)[:, None] * np.clip(tint, 0.6, 1.2)[None]
        table = np.clip(levels, 0, 245).astype(np.uint8)[:, None, :]
        cell = np.s_[row * SIZE : (row + 1) * SIZE, column * SIZE : (column + 1) * SIZE]
        self.image[cell] = cv2.LUT(image, table)
        self.roughness[cell] = roughness
        self.cells.append((kind, width, height))

    def choose(self, kind):
        """The place of one of the facades of a kind."""
        return int(self.rng.choice([i for i, cell in enumerate(self.cells) if cell[0] == kind]))

    def height(self, cell):
        """Metres that a facade is high."""
        return self.cells[cell][2]

    def face(self, corners, cell):
        """A wall with a facade: corners at the lower left, lower right, upper right, upper left."""
        row, column = divmod(cell, SIDE)
        inset = 1.5 / (SIDE * SIZE)  # no pixel of the neighbour
        left, right = column / SIDE + inset, (column + 1) / SIDE - inset
        bottom, top = (row + 1) / SIDE - inset, row / SIDE + inset
        uv = [[left, bottom], [right, bottom], [right, top], [left, top]]
        self.mesh.quad(BUILDING, corners, (1, 1, 1), 0.8, uv, "atlas")

    def block(self, width, depth, bottom, top, front, side, stories=1):
        """Four walls over [0, depth] x [0, width], the facades repeated `stories` times."""
        for i in range(stories):
            low = bottom + (top - bottom) * i / stories
            high = bottom + (top - bottom) * (i + 1) / stories
            walls = (
                ((0, width), (0, 0), front),
                ((0, 0), (depth, 0), side),
                ((depth, width), (0, width), side),
                ((depth, 0), (depth, width), side),
            )
            for start, end, cell in walls:
                corners = (*start, low), (*end, low), (*end, high), (*start, high)
                self.face(corners, cell)
