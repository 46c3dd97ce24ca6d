"""What stands along the sidewalk: houses, gardens, parks, and the boundaries between them.

Functions draw at the present place: y runs along the sidewalk, x away from the road.
"""

import numpy as np

from ..chance import pick
from ..labels import IGNORE, TERRAIN
from ..objects.barriers import fence, wall
from ..objects.cars import car
from ..objects.vegetation import GREENS, bush, hedge
from .buildings import building
from .ground import patch
from .street import KERB

NEAR = 70
"""Metres within which a front has details."""


def frontage(street, length, main=True):
    """Fills `length` metres from the present place.

    Args:
        main: along the street itself, not along one that crosses it.
    """
    fill = _gardens if street.world.frontage is None else _row
    along = 0.0
    while along < length - 3:
        along += fill(street, along, length - along, main)


def _row(street, along, left, main):
    """One piece of a row of houses; returns its width."""
    rng, world, kinds = street.rng, street.world, street.world.frontage
    chance = rng.random()
    near = street.distance(along) < NEAR
    if chance < kinds.park and left > 14:
        width = min(rng.uniform(14, 34), left)
        park(street, along, width)
    elif chance < kinds.forecourt and left > kinds.forecourt_width[0] and main:
        width = min(rng.uniform(*kinds.forecourt_width), left)
        forecourt(street, along, width)
    elif chance < kinds.yard and left > kinds.yard_needs:
        width = min(rng.uniform(*kinds.yard_width), left)
        yard(street, along, width)
    else:
        width = min(rng.uniform(*kinds.house_width), left)
        if world.towers:
            heights = [rng.uniform(10, 19), rng.uniform(21, 45), rng.uniform(40, 100)]
            height = rng.choice(heights, p=[0.45, 0.35, 0.2])
        else:
            height = street.house_height * rng.uniform(0.82, 1.2)
        if left - width < kinds.smallest:
            width = left
        setback = rng.choice([0, 0, 0, kinds.setback])
        with street.mesh.at((setback, along, 0)):
            building(street, width, kinds.depth, height, near)
    return width


def _gardens(street, along, left, main):
    """One lot of detached houses; returns its width."""
    rng, mesh = street.rng, street.mesh
    chance = rng.random()
    near = street.distance(along) < NEAR
    if left < 12:
        boundary(street, along, left, 0.3, [("hedge", 2), ("fence", 2), ("wall", 2)])
        for _ in range(2):
            _tree(street, rng.uniform(2, 6), along + left * rng.uniform(0.2, 0.8), along)
        return left
    if chance < 0.07:
        width = min(rng.uniform(12, 28), left)
        park(street, along, width)
    elif chance < 0.17:
        width = min(rng.uniform(10, 20), left)
        with mesh.at((0.3, along, 0)):
            building(street, width, 11, rng.uniform(6.5, 10), near, row=True)
    else:
        width = min(rng.uniform(13, 21), left)
        garden(street, along, width)
    return width


def _tree(street, x, y, detail_at, scale=None):
    street.assets.trees.plant(street.mesh, street.rng, x, y, KERB, scale, street.detail(detail_at))


def _bush(street, x, y, radius, detail, flowers=False):
    with street.mesh.at((x, y, KERB)):
        bush(street.mesh, street.rng, radius, detail, flowers)


def boundary(street, along, width, x, kinds, gap=None):
    """A fence, wall or hedge along the sidewalk at depth `x`, with a gap (start, end) or none."""
    rng, mesh = street.rng, street.mesh
    kind = pick(rng, kinds)
    seed, height = rng.integers(1 << 30), rng.uniform(0.8, 1.9)
    green = GREENS[rng.integers(len(GREENS))]
    y, end = along, along + width
    while y < end - 0.2:
        length = min(6.0, end - y)
        if gap is None or y + length < gap[0] or y > gap[1]:
            same = np.random.default_rng(seed)  # every piece looks the same
            with mesh.at((x, y, KERB)):
                if kind == "fence":
                    fence(mesh, same, length)
                elif kind == "wall":
                    wall(mesh, same, length, height * 0.9 + 0.15)
                elif kind == "wall with fence":
                    wall(mesh, same, length, 0.55)
                    with mesh.at((0, 0, 0.6)):
                        fence(mesh, same, length, 1.0, "bars")
                elif kind == "hedge":
                    thick = rng.uniform(0.6, 0.9)
                    hedge(mesh, rng, length, thick, height, street.detail(y), green)
        y += length


def park(street, along, width):
    """An open green with trees and bushes; where houses stand in gardens, paved."""
    rng = street.rng
    detached = street.world.frontage is None
    end = along + width
    if detached:
        patch(street, IGNORE, "paving", (0.2, 26.0), (along, end), 0.02, 2.5)
        kinds = [("fence", 3), ("wall", 2), ("hedge", 4), ("wall with fence", 1)]
    else:
        patch(street, TERRAIN, "grass", (0.2, 26.0), (along, end), 0.02, 3.0)
        kinds = [("fence", 4), ("wall", 1.2), ("hedge", 2), ("none", 3), ("wall with fence", 1.5)]
    boundary(street, along + 0.2, width - 0.4, 0.35, kinds)
    if detached:
        for _ in range(int(width * 0.9)):
            x, y = rng.uniform(1, 9), along + rng.uniform(0.5, width - 0.5)
            radius = rng.uniform(0.4, 1.1)
            with street.mesh.at((x, y, KERB)):
                detail, flowers = street.detail(along), rng.random() < 0.3
                bush(street.mesh, rng, radius, detail, flowers)
    for _ in range(int(width * 0.36) + 1):
        y, x = along + rng.uniform(1, width - 1), rng.uniform(1.5, 16)
        detail = min(2, street.detail(y) + (x > 8))
        street.assets.trees.plant(street.mesh, rng, x, y, KERB, None, detail)
    for _ in range(int(width * 0.15)):
        x, y = rng.uniform(2, 10), along + rng.uniform(1, width - 1)
        with street.mesh.at((x, y, KERB)):
            bush(street.mesh, rng, rng.uniform(0.5, 1.4), street.detail(along))
    with street.mesh.at((24, along - 4, 0)):
        height = 6 if detached else rng.uniform(9, 16)
        building(street, width + 8, 12, height, near=False, row=True)


def yard(street, along, width):
    """A gap between houses, behind a wall or fence."""
    rng = street.rng
    boundary(
        street, along + 0.1, width - 0.2, 0.3, [("wall", 4), ("fence", 4), ("wall with fence", 2)]
    )
    if rng.random() < 0.5:
        patch(street, TERRAIN, "grass", (1, 14), (along, along + width), 0.02, 3.0)
    for _ in range(rng.integers(1, 4)):
        _tree(street, rng.uniform(3, 9), along + rng.uniform(1.5, width - 1.5), along)
    with street.mesh.at((16, along - 3, 0)):
        building(street, width + 6, 12, rng.uniform(10, 18), near=False)


def forecourt(street, along, width):
    """A house set back behind a low wall, railing or hedge."""
    rng = street.rng
    depth = rng.uniform(2.2, 5.0)
    kinds = [("wall", 4), ("wall with fence", 3), ("fence", 3), ("hedge", 2)]
    boundary(street, along + 0.1, width - 0.2, 0.3, kinds)
    if rng.random() < 0.6:
        patch(street, TERRAIN, "grass", (0.5, depth), (along, along + width), 0.02, 3.0)
    for _ in range(rng.integers(1, 7)):
        x, y = rng.uniform(1, depth - 0.3), along + rng.uniform(0.6, width - 0.6)
        with street.mesh.at((x, y, KERB)):
            bush(street.mesh, rng, rng.uniform(0.4, 1.1), street.detail(along))
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(1, depth - 0.5), along + rng.uniform(1, width - 1)
        _tree(street, x, y, along, rng.uniform(0.7, 1.1))
    with street.mesh.at((depth, along, 0)):
        building(street, width, 13, street.house_height * rng.uniform(0.6, 1.15))


def garden(street, along, width):
    """A detached house with a front garden, perhaps a drive with a car."""
    rng, mesh = street.rng, street.mesh
    depth = rng.uniform(2.4, 5.5)
    house = min(width - 3.5, rng.uniform(8, 12))
    start = along + rng.uniform(0.8, width - house - 0.8)
    detail = street.detail(along + width / 2)
    with mesh.at((depth, start, KERB)):
        back = rng.uniform(7.5, 10)
        height = rng.uniform(5.2, 7.2) if rng.random() < 0.85 else 3.1
        building(street, house, back, height)
    patch(street, IGNORE, "paving", (0.1, depth + 20), (along, along + width), 0.02, 2.5)
    drive = (along + width - 4.0, along + width - 0.8) if rng.random() < 0.7 else None
    kinds = [("hedge", 4), ("fence", 4), ("wall", 3), ("wall with fence", 2), ("none", 1)]
    boundary(street, along + 0.15, width - 0.3, 0.3, kinds, drive)
    for _ in range(rng.integers(5, 13)):
        x, y = rng.uniform(0.9, depth - 0.4), along + rng.uniform(0.5, width - 4.2)
        radius = rng.uniform(0.3, 0.95)
        _bush(street, x, y, radius, detail, rng.random() < 0.35)
    trees = street.assets.trees
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(0.9, max(1.1, depth - 1.2)), along + rng.uniform(1, width - 4)
        trees.plant(mesh, rng, x, y, KERB, rng.uniform(0.6, 1.1), detail)
    behind = rng.integers(2, 5) if abs(mesh.to_street((0, along, 0))[0]) < 30 else 1
    for _ in range(behind):
        x, y = depth + rng.uniform(10, 16), along + rng.uniform(0, width)
        trees.plant(mesh, rng, x, y, KERB, rng.uniform(1.1, 1.9), 2 if detail else 1)
    if rng.random() < 0.4 and depth > 5.2 and drive:
        turn = -np.pi / 2 if rng.random() < 0.5 else np.pi / 2
        with mesh.at((depth - 2.2, drive[0] + 1.6, KERB), turn):
            car(mesh, rng, street.world)
    if rng.random() < 0.8:
        _side_boundary(street, along + 0.1, int((depth + 6) / 4))


def _side_boundary(street, y, pieces):
    """A fence or wall between two gardens, away from the road."""
    mesh = street.mesh
    with mesh.at((0, y, KERB), -np.pi / 2):
        seed = street.rng.integers(1 << 30)
        for i in range(pieces):
            same = np.random.default_rng(seed)
            with mesh.at((0, 0.4 + 4 * i, 0)):
                if seed % 2:
                    fence(mesh, same, 4.0, None, "planks")
                else:
                    wall(mesh, same, 4.0, 1.5)
