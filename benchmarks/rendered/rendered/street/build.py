"""The order in which a street is filled."""

import numpy as np

from ..labels import IGNORE
from . import ground
from .buildings import building
from .curbside import corners, curbside
from .frontage import frontage
from .markings import paint_road
from .street import END, KERB, SIDES, START, Street
from .traffic import pedestrians, traffic

BASE = -5.5
"""Height of the plane far below everything."""


def build(world, rng, assets):
    """A street of a world with all that stands in it."""
    street = Street(world, rng, assets)
    white = paint_road(street)
    ground.road(street)
    ground.side_streets(street, white)
    ground.median(street)
    for i in range(2):
        _blocks(street, i)
    corners(street)
    curbside(street)
    traffic(street)
    pedestrians(street)
    _backdrop(street)
    return street


def _blocks(street, i):
    """The blocks of houses on side `i`, between the crossing streets."""
    start = START
    edges = [*street.crossings, (END + 20, 20)]
    for j, (at, width) in enumerate(edges):
        end = at - width / 2
        if end > start:
            _block(street, i, start, end, first=j == 0, last=j == len(edges) - 1)
        start = at + width / 2


def _block(street, i, start, end, first, last):
    side, mesh = SIDES[i], street.mesh
    ground.sidewalk(street, side, start, end)
    ground.verge(street, i, start + (0 if first else 5), end - (0 if last else 5))
    corner = min(street.sidewalk) + 0.3
    start, end = start + (0 if first else corner), end - (0 if last else corner)
    if end - start <= 6:
        return
    front = street.half_width + street.verge[i] + street.sidewalk[i]
    z = KERB - 0.01
    right = side > 0
    with mesh.at((side * front, start if right else end, z), 0 if right else np.pi):
        frontage(street, end - start)
    behind = front + street.world.block_depth
    if not last:  # along the crossing street, on its near side
        with mesh.at((behind if right else -behind - 60, end, z), -np.pi / 2):
            frontage(street, 60, main=False)
    if not first:  # and on its far side
        with mesh.at((behind + 60 if right else -behind, start, z), np.pi / 2):
            frontage(street, 60, main=False)


def _backdrop(street):
    """What is seen at the end of the street and above the first row of houses."""
    rng, mesh, world = street.rng, street.mesh, street.world
    trees = street.assets.trees
    x = -150.0
    while x < 150:
        width = rng.uniform(14, 30)
        if world.towers or rng.uniform() < 0.5:
            with mesh.at((x + width, END + rng.uniform(15, 60), 0), np.pi / 2):
                height = rng.uniform(12, 70) if world.towers else rng.uniform(7, 18)
                building(street, width, 14, height, near=False, row=True)
        x += width
    for _ in range(25 if world.towers else 60):
        x, y = rng.uniform(-130, 130), END + rng.uniform(-4, 14)
        trees.plant(mesh, rng, x, y, 0, rng.uniform(0.8, 1.6), 2)
    for side in SIDES:
        for _ in range(6 if world.towers else 8):
            y, x = rng.uniform(15, 170), street.half_width + 42 + rng.uniform(0, 30)
            if street.on_block(y, 14):
                _behind(street, side, x, y)
    plane = [[(x, y, BASE) for x in (-700, 700)] for y in (-300, 900)]
    points = np.array(plane, float)
    mesh.grid(IGNORE, points, (0.33, 0.33, 0.30), 0.9, ground.facing(points, 2))


def _behind(street, side, x, y):
    """A tower or trees behind the first row."""
    rng, mesh = street.rng, street.mesh
    if street.world.towers:
        place = (side * x, y if side > 0 else y + 20, 0)
        with mesh.at(place, 0 if side > 0 else np.pi):
            building(street, 20, 20, rng.uniform(40, 130), near=False)
    elif street.world.frontage is None:
        for _ in range(3):
            x = side * (street.half_width + rng.uniform(20, 40))
            near = y + rng.uniform(-5, 5)
            street.assets.trees.plant(mesh, rng, x, near, 0, rng.uniform(1.0, 1.7), 2)
