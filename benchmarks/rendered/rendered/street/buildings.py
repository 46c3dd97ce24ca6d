"""Houses and towers. A building's front is at x = 0 and faces -x, over y from 0 to its width."""

import numpy as np

from ..chance import happens, one_of
from ..labels import BUILDING
from ..objects.bodies import grey

ROOF_COLORS = ((0.36, 0.2, 0.15), (0.25, 0.25, 0.26), (0.4, 0.27, 0.2))
TOWER = 20
"""A building above this height is one."""


def building(street, width, depth, height, near=True, row=False):
    """A building with its roof and, if near, what sticks out of its front.

    Args:
        row: part of a row of houses, even where houses stand in gardens.
    """
    rng, mesh, atlas, world = street.rng, street.mesh, street.atlas, street.world
    color = np.array([rng.uniform(0.25, 0.75)] * 3) * np.array([1, 0.97, 0.92])
    if world.frontage is None and not row:
        _house(street, width, depth, height, color)
        return
    if world.towers and height > TOWER:
        _tower(street, width, depth, height, color)
    else:
        front, side = atlas.choose("full"), atlas.choose("side")
        atlas.block(width, depth, 0, height, front, front if rng.random() < 0.35 else side)
        if happens(rng, world.pitched_roofs):
            rise = rng.uniform(2.2, 4.2)
            tiles = None if happens(rng, world.flat_sheet_roofs) else atlas.choose("roof")
            pitched_roof(street, width, depth, height, rise, True, tiles, 0.35, dormers=near)
        else:
            flat_roof(street, width, depth, height, color)
    if near:
        mesh.box(BUILDING, (-0.14, width / 2, height - 0.12), (0.5, width, 0.28), color, 0.8)
        _balconies(street, width, height, color)
        _awning(street, width)
        _blade_sign(street, width)


def _house(street, width, depth, height, color):
    """A detached house, some with a porch."""
    rng, mesh, atlas = street.rng, street.mesh, street.atlas
    front, side = atlas.choose("house"), atlas.choose("house" if rng.random() < 0.5 else "side")
    atlas.block(width, depth, 0, height, front, side)
    rise, along = rng.uniform(2.0, 3.6), rng.random() < 0.5
    pitched_roof(street, width, depth, height, rise, along, atlas.choose("roof"), 0.45)
    if rng.random() < 0.3:
        y = rng.uniform(0.2, 0.6) * width
        mesh.box(BUILDING, (-0.7, y, 2.55), (1.5, 2.4, 0.18), color, 0.8)
        for side in (-1, 1):
            post = (-1.3, y + side, 1.25)
            mesh.box(BUILDING, post, (0.14, 0.14, 2.5), (0.8, 0.8, 0.78), 0.7)


def _tower(street, width, depth, height, color):
    """A tower on a podium, perhaps set back."""
    rng, mesh, atlas = street.rng, street.mesh, street.atlas
    podium = atlas.choose("podium")
    base = atlas.height(podium)
    tower = atlas.choose("tower")
    inset = rng.choice([0, 0, 1.5, 4.0])
    side = atlas.choose("side") if rng.random() < 0.4 else podium
    atlas.block(width, depth, 0, base, podium, side)
    mesh.box(BUILDING, (depth / 2, width / 2, base), (depth, width, 0.3), color * 0.7, 0.9)
    mesh.box(BUILDING, (-0.1, width / 2, base - 0.1), (0.5, width, 0.35), color, 0.8)
    with mesh.at((inset, 0, 0)):
        stories = max(1, round((height - base) / atlas.height(tower)))
        atlas.block(width, depth - inset, base, height, tower, tower, stories)
    flat_roof(street, width, depth, height, color, inset)


def flat_roof(street, width, depth, height, color, inset=0):
    """A flat roof with a parapet and perhaps a plant room."""
    rng, mesh = street.rng, street.mesh
    middle, size = depth / 2 + inset / 2, depth - inset
    z = height + 0.3
    parapets = (
        ((middle, 0.15, z), (size, 0.3, 0.7)),
        ((middle, width - 0.15, z), (size, 0.3, 0.7)),
        ((inset + 0.15, width / 2, z), (0.3, width, 0.7)),
        ((depth - 0.15, width / 2, z), (0.3, width, 0.7)),
    )
    for center, parapet in parapets:
        mesh.box(BUILDING, center, parapet, color, 0.9)
    mesh.box(BUILDING, (middle, width / 2, height), (size, width, 0.1), grey(0.3), 0.9)
    if rng.random() < 0.6:
        center = (depth * 0.5, width * rng.uniform(0.3, 0.7), height + 1.6)
        room = (rng.uniform(2, 5), rng.uniform(2, 5), 3.2)
        mesh.box(BUILDING, center, room, color * 0.8, 0.9)


def pitched_roof(street, width, depth, height, rise, along, tiles, overhang, dormers=False):
    """A roof with two slopes.

    Args:
        along: whether its ridge runs along the street.
        tiles: the facade that is its tiles; None is plain.
    """
    rng, mesh = street.rng, street.mesh
    color = np.array(one_of(rng, ROOF_COLORS))

    def slope(*corners):
        if tiles is None:
            mesh.quad(BUILDING, corners, color, 0.85)
        else:
            street.atlas.face(corners, tiles)

    eaves, ridge = height - 0.1, height + rise
    left, right = -overhang, width + overhang
    if along:
        depth = min(depth, 12)
        back, middle = depth + overhang, depth / 2
        slope(
            (-overhang, right, eaves),
            (-overhang, left, eaves),
            (middle, left, ridge),
            (middle, right, ridge),
        )
        slope(
            (back, left, eaves), (back, right, eaves), (middle, right, ridge), (middle, left, ridge)
        )
        for y in (0, width):  # gables
            corners = [(0, y, height), (depth, y, height), (middle, y, ridge)]
            gable = color * 0 + rng.uniform(0.4, 0.75)
            mesh.add(BUILDING, corners, [[0, 1, 2]], gable, 0.9)
        gutter = (-overhang, width / 2, height - 0.12)
        mesh.box(BUILDING, gutter, (0.16, width + 2 * overhang, 0.14), grey(0.5), 0.7)
        if dormers and rng.random() < 0.5:
            _dormers(mesh, width, height + rise * 0.42, color)
    else:
        front, back, middle = -overhang, depth + overhang, width / 2
        slope(
            (front, left, eaves), (back, left, eaves), (back, middle, ridge), (front, middle, ridge)
        )
        slope(
            (back, right, eaves),
            (front, right, eaves),
            (front, middle, ridge),
            (back, middle, ridge),
        )
        gable = rng.uniform(0.5, 0.85) * np.array([1, 0.98, 0.93])
        for x in (0, depth):
            corners = [(x, 0, height), (x, width, height), (x, middle, ridge)]
            mesh.add(BUILDING, corners, [[0, 1, 2]], gable, 0.9)
        window = (-0.02, width / 2, height + rise * 0.4)
        mesh.box(BUILDING, window, (0.06, 0.9, 0.9), (0.1, 0.11, 0.12), 0.08)
    for _ in range(rng.integers(0, 3)):
        place = depth * rng.uniform(0.35, 0.65), width * rng.uniform(0.1, 0.9)
        chimney = (*place, height + rise * 0.8)
        mesh.box(BUILDING, chimney, (0.7, 0.9, rise * 0.9), (0.42, 0.25, 0.2), 0.9)


def _dormers(mesh, width, z, color):
    count = max(1, int(width / 4))
    for i in range(count):
        y = (i + 0.5) * width / count
        mesh.box(BUILDING, (1.5, y, z), (1.6, 1.3, 1.4), color * 0.8 + 0.15, 0.8)
        mesh.box(BUILDING, (0.69, y, z), (0.03, 0.9, 1.0), (0.08, 0.09, 0.1), 0.08)
        mesh.box(BUILDING, (1.4, y, z + 0.75), (2.0, 1.6, 0.14), color * 0.8, 0.8)


def _balconies(street, width, height, color):
    """Balconies with a railing or a solid front."""
    rng, mesh = street.rng, street.mesh
    if not (rng.random() < street.world.balconies and height > 9):
        return
    count, wide = rng.integers(1, 4), rng.uniform(1.6, 3.2)
    railing = np.array(grey(0.06)) if rng.random() < 0.6 else np.array(grey(0.6))
    solid = rng.random() < 0.3
    for z in np.arange(4.3, height - 3, 3.2):
        for i in range(count):
            y = (i + 0.5) * width / count
            mesh.box(BUILDING, (-0.45, y, z), (0.9, wide, 0.16), color * 0.9, 0.9)
            if solid:
                mesh.box(BUILDING, (-0.87, y, z + 0.55), (0.06, wide, 0.95), color, 0.8)
                continue
            mesh.box(BUILDING, (-0.87, y, z + 1.02), (0.05, wide, 0.05), railing, 0.5)
            for bar in np.arange(-wide / 2, wide / 2 + 0.01, 0.22):
                center = (-0.87, y + bar, z + 0.55)
                mesh.box(BUILDING, center, (0.025, 0.025, 0.95), railing, 0.5)


def _awning(street, width):
    rng, mesh = street.rng, street.mesh
    if rng.random() >= 0.4:
        return
    start, length = rng.uniform(1.5, max(1.6, width - 3)), rng.uniform(2, 4.5)
    color = rng.random(3) * 0.6 + 0.05
    end = min(start + length, width)
    cloth = [[(-0.02, y, 3.3), (-1.3, y, 2.6)] for y in (start, end)]
    mesh.grid(BUILDING, np.array(cloth), color, 0.9)
    center = (-1.3, start + length / 2, 2.5)
    mesh.box(BUILDING, center, (0.03, length, 0.22), color * 0.9, 0.9)


def _blade_sign(street, width):
    """Perhaps a sign that sticks out of the front."""
    rng, mesh = street.rng, street.mesh
    for _ in range(rng.integers(0, 2)):
        y = rng.uniform(0.5, width - 0.5)
        center = (-0.55, y, rng.uniform(3.2, 4.4))
        size = (0.8, 0.1, rng.uniform(0.5, 1.3))
        color = np.clip(rng.uniform(0.1, 0.7) + rng.normal(0, 0.15, 3), 0.03, 0.8)
        mesh.box(BUILDING, center, size, color, 0.4)
