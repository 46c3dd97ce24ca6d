"""Bitmaps and trees of a world: made once in a process, the same in every process."""

from functools import cached_property

import numpy as np

from ..objects.vegetation import Trees
from ..textures.facades import SIZE, facade
from ..textures.ground import asphalt, brickwork, grass, paving
from ..textures.noise import to_bytes
from ..textures.roads import road_surface

ROAD_LENGTH = 96.0
"""Metres that a road's texture covers."""
ROAD_SIZE = (2304, 640)
"""Its rows and columns."""
ROOFS = (
    (0.42, 0.22, 0.15),
    (0.36, 0.2, 0.15),
    (0.28, 0.27, 0.27),
    (0.2, 0.2, 0.22),
    (0.45, 0.3, 0.2),
    (0.33, 0.3, 0.27),
)
WALLS = ((0.45, 0.25, 0.19), (0.5, 0.34, 0.26), (0.55, 0.52, 0.46), (0.62, 0.6, 0.56))


class Assets:
    """What streets of one world share."""

    def __init__(self, world):
        self.world = world
        self._facades, self._roads, self._tiles = {}, {}, {}

    @cached_property
    def trees(self):
        """Its trees."""
        return Trees(11 * self.world.number, self.world)

    def facade(self, kind, i):
        """Colour, roughness (uint8), width and height in metres of the i-th facade of a kind."""
        if (kind, i) not in self._facades:
            rng = np.random.default_rng([77, self.world.number, sum(map(ord, kind)), i])
            self._facades[kind, i] = self._draw_facade(rng, kind, i)
        return self._facades[kind, i]

    def _draw_facade(self, rng, kind, i):
        world, contrast = self.world, self.world.facade_contrast
        wall = world.walls[rng.integers(len(world.walls))]
        solid = "plaster" if kind == "side" else "stone"
        if wall == "glass" and kind != "tower":
            wall = solid
        floor_height = 3.2
        if kind == "full":
            floors = rng.integers(*world.floors) if world.floors else 2
            width, height = rng.uniform(9, 17), floors * 3.3 + 1
            ground = "shop" if rng.random() < 0.55 else "door"
        elif kind == "house":
            width, height = rng.uniform(8, 12), rng.uniform(5.4, 6.4)
            ground, floor_height = ("garage" if rng.random() < 0.4 else "door"), 2.7
        elif kind == "podium":
            width, height, ground = rng.uniform(14, 24), rng.uniform(7.5, 9.5), "shop"
        elif kind == "tower":
            width, height, ground = rng.uniform(14, 22), rng.uniform(18, 28), "none"
        elif kind == "roof":
            tiles = brickwork(rng, SIZE, SIZE, 36, 60, np.array(ROOFS[i % 6]))
            return to_bytes(tiles), np.full((SIZE, SIZE), 215, np.uint8), 10, 6
        else:  # the side of a house, with few windows
            width, height, ground = 12, 10, "none"
        image, roughness = facade(rng, world, wall, ground, width, height, floor_height, contrast)
        return image, roughness, width, height

    def road(self, i, half_width):
        """The i-th road without markings (uint8), and whether it is cobbled."""
        key = i, round(half_width)
        if key not in self._roads:
            if len(self._roads) > 40:  # 4 MB each
                self._roads.clear()
            rng = np.random.default_rng([5, *key])
            self._roads[key] = road_surface(rng, self.world, half_width, ROAD_LENGTH, *ROAD_SIZE)
        return self._roads[key]

    def tile(self, kind, i):
        """The i-th tileable bitmap of a kind (uint8): "asphalt", "paving", "grass" or "wall"."""
        if (kind, i) not in self._tiles:
            rng = np.random.default_rng([9, sum(map(ord, kind)), i, self.world.tile_seed])
            self._tiles[kind, i] = to_bytes(self._draw_tile(rng, kind, i))
        return self._tiles[kind, i]

    def _draw_tile(self, rng, kind, i):
        contrast = self.world.ground_contrast
        if kind == "asphalt":
            return asphalt(rng, SIZE, SIZE, contrast=contrast)
        if kind == "grass":
            return grass(rng, SIZE, SIZE)
        if kind == "wall":
            rows, columns = ((20, 8), (36, 12), (12, 6))[i % 3]
            return brickwork(rng, SIZE, SIZE, rows, columns, np.array(WALLS[i % 4]))
        if i % 5 == 4:
            return asphalt(rng, SIZE, SIZE, rng.uniform(0.4, 0.52), contrast)
        columns, rows = ((4, 4), (8, 8), (12, 24), (20, 40))[i % 5]
        bond = ("slab", "slab", "run", "run")[i % 5]
        return paving(rng, SIZE, SIZE, columns, rows, kind=bond, contrast=contrast)
