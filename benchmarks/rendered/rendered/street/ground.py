"""Flat things: patches of ground, sidewalks with kerbs, the road, side streets, medians."""

import numpy as np

from ..labels import ROAD, SIDEWALK, TERRAIN
from ..objects.barriers import fence
from ..objects.vegetation import bush
from .assets import ROAD_LENGTH
from .markings import TEXTURE_START
from .street import END, KERB, SIDES, START

FAR = 110
"""How far side streets and sidewalks reach on both sides."""
GRASS_TILE = 3.0
"""Metres that a bitmap of grass covers."""


def strip(y, left, right):
    """Points (N, 2, 3) along `y` (N,) between two lines at (x, z)."""
    points = np.zeros((len(y), 2, 3))
    points[..., 1] = y[:, None]
    for column, (x, z) in enumerate((left, right)):
        points[:, column, 0] = x
        points[:, column, 2] = z
    return points


def facing(points, axis, sign=1):
    """Normals along an axis for a grid of points."""
    normals = np.zeros_like(points)
    normals[..., axis] = sign
    return normals


def rows(start, end):
    """Places along y, about 3 metres apart."""
    return np.linspace(start, end, max(2, int(abs(end - start) / 3) + 1))


def patch(street, label, material, x, y, height, tile):
    """A flat rectangle x by y, `height` above the sidewalk.

    Args:
        tile: metres that the material's bitmap covers.
    """
    mesh = street.mesh
    points = strip(rows(*y), (x[0], KERB + height), (x[1], KERB + height))
    matrix, shift, _ = mesh.stack[-1]
    uv = (points @ matrix.T + shift)[..., :2] / tile
    roughness = street.ground_roughness if material == "paving" else 0.9
    mesh.grid(label, points, (1, 1, 1), roughness, facing(points, 2), uv, material)


def sidewalk(street, side, start, end):
    """A raised block beside the road, with kerbs."""
    mesh, color = street.mesh, street.kerb_color
    edge, far = side * street.half_width, side * FAR
    patch(street, SIDEWALK, "paving", sorted((edge, far)), (start, end), 0, street.paving_tile)
    top = KERB + 0.005
    y = rows(start, end)
    for left, right, axis, sign in (
        ((edge, -0.12), (edge, top), 0, -side),
        ((edge, top), (edge + side * 0.16, top), 2, 1),
    ):
        points = strip(y, left, right)
        stones = np.repeat(street.rng.uniform(0.88, 1.1, (len(y) - 1, 1, 1)), 3, 2)
        mesh.grid(SIDEWALK, points, color * stones, 0.85, facing(points, axis, sign))
    for at in (start, end):
        corners = (edge, at, -0.12), (far, at, -0.12), (far, at, top), (edge, at, top)
        mesh.quad(SIDEWALK, corners, color, 0.85)


def road(street):
    """The road, a little higher in the middle; its texture is `street.road_texture`."""
    half_width = street.half_width
    y = np.arange(START, END + 1, 2.0)
    points = np.zeros((len(y), 5, 3))
    x = np.linspace(-half_width, half_width, 5)
    points[..., 0] = x
    points[..., 1] = y[:, None]
    points[..., 2] = 0.05 * (1 - (x / half_width) ** 2) - 0.05
    across = (points[..., 0] + half_width) / (2 * half_width)
    uv = np.stack([across, (points[..., 1] - TEXTURE_START) / ROAD_LENGTH], -1)
    roughness = np.full(points.shape[:2], street.ground_roughness)
    street.mesh.grid(ROAD, points, (1, 1, 1), roughness, facing(points, 2), uv, "road")


def side_streets(street, white):
    """The streets that cross, some with a dashed line in `white`."""
    mesh, half_width = street.mesh, street.half_width
    for at, width in street.crossings:
        y = np.linspace(at - width / 2, at + width / 2, max(2, int(width / 2)))
        for side in SIDES:
            points = strip(y, (side * half_width, -0.05), (side * FAR, -0.05))
            uv = points[..., :2] / 5.0
            roughness = street.ground_roughness
            mesh.grid(ROAD, points, (1, 1, 1), roughness, facing(points, 2), uv, "asphalt")
            if street.rng.uniform() < 0.6:
                x = half_width + 5
                while x < 60:
                    dash = (side * x, at, -0.045)
                    mesh.box(ROAD, dash, (2.5, 0.12, 0.012), white * 0.9, 0.8)
                    x += 6


def median(street):
    """The strip between the two directions, if the street has one."""
    if not street.median:
        return
    start = START
    for at, width in [*street.crossings, (END + 8, 8)]:
        end = at - width / 2 - 5
        if end - start > 3:
            _median_piece(street, start, end)
        start = at + width / 2 + 5


def _median_piece(street, start, end):
    rng, mesh = street.rng, street.mesh
    half = street.median / 2 - 0.15
    planted = rng.uniform() < 0.75
    y = np.linspace(start, end, max(2, int((end - start) / 3)))
    for x in (-half, half):
        points = strip(y, (x, -0.1), (x, 0.16))
        normals = facing(points, 0, np.sign(x))
        mesh.grid(SIDEWALK, points, street.kerb_color, 0.85, normals)
    for at in (start, end):
        corners = (-half, at, 0), (half, at, 0), (half, at, 0.16), (-half, at, 0.16)
        mesh.quad(SIDEWALK, corners, street.kerb_color)
    if planted:
        patch(street, TERRAIN, "grass", (-half, half), (start, end), 0.03, GRASS_TILE)
    else:
        tile = street.paving_tile
        patch(street, SIDEWALK, "paving", (-half, half), (start, end), 0.03, tile)
    y = start + rng.uniform(2, 8)
    while y < end - 1:
        if rng.uniform() < 0.5 and planted:
            street.assets.trees.plant(mesh, rng, 0, y, 0.16, rng.uniform(0.55, 0.9))
        elif rng.uniform() < 0.4:
            with mesh.at((0, y, 0.16)):
                bush(mesh, rng, rng.uniform(0.4, 0.8), 0 if abs(y) < 25 else 1)
        y += rng.uniform(4, 11)
    if rng.uniform() < 0.25:
        seed = rng.integers(1 << 30)
        for y in np.arange(start + 1, end - 6, 6.0):
            with mesh.at((0.5 * half, y, 0.16)):
                fence(mesh, np.random.default_rng(seed), 6, 1.0, "rail")


def verge(street, i, start, end):
    """A strip of grass at the kerb on side `i`, with blades near the camera."""
    width = street.verge[i]
    if not width or end - start < 4:
        return
    rng, side, edge = street.rng, SIDES[i], street.half_width
    x = sorted((side * (edge + 0.18), side * (edge + width)))
    patch(street, TERRAIN, "grass", x, (start, end), 0.012, GRASS_TILE)
    near_start, near_end = max(start, -1), min(end, 24)
    count = int(min(near_end - near_start, 25) * width * 45)
    if count <= 0:
        return
    y = rng.uniform(near_start, near_end, count)
    x = side * rng.uniform(edge + 0.22, edge + width - 0.03, count)
    height, turn = rng.uniform(0.03, 0.10, count), rng.uniform(0, 3.14, count)
    ground = np.full(count, KERB + 0.01)
    dx, dy = 0.05 * np.cos(turn), 0.05 * np.sin(turn)
    corners = [
        np.stack([x - dx, y - dy, ground], -1),
        np.stack([x + dx, y + dy, ground], -1),
        np.stack([x + 0.03, y, KERB + 0.01 + height], -1),
    ]
    color = np.array([0.33, 0.42, 0.17]) * rng.uniform(0.7, 1.2, (count, 1))
    street.mesh.add(
        TERRAIN,
        np.stack(corners, 1).reshape(-1, 3),
        np.arange(3 * count).reshape(-1, 3),
        np.repeat(color, 3, 0),
        0.9,
        np.tile([0, 0, 1.0], (3 * count, 1)),
    )
