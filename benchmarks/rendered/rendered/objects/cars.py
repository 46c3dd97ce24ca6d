"""Passenger cars and vans."""

from dataclasses import dataclass

import numpy as np

from ..chance import pick
from ..labels import CAR
from .bodies import GLASS, HEADLIGHT, RED_LAMP, TYRE, close

PAINTS = (
    ((0.80, 0.81, 0.82), 16),
    ((0.62, 0.63, 0.65), 16),
    ((0.10, 0.10, 0.11), 20),
    ((0.30, 0.31, 0.33), 16),
    ((0.10, 0.16, 0.34), 9),
    ((0.48, 0.07, 0.06), 8),
    ((0.86, 0.86, 0.84), 10),
    ((0.42, 0.36, 0.28), 3),
    ((0.08, 0.22, 0.16), 3),
    ((0.16, 0.36, 0.58), 3),
    ((0.75, 0.62, 0.12), 2),
    ((0.62, 0.28, 0.08), 1),
)
DARK = (0.05, 0.05, 0.055)


@dataclass
class Shape:
    """A kind of car: length and half width, and its profile from front to rear.

    Each point of the profile is (place along the length in [0, 1], height of the belt line, height
    of the roof).
    """

    length: float
    half_width: float
    profile: tuple[tuple[float, float, float], ...]
    tail_light: float = 0.84
    tall: bool = False  # upright tail lights
    off_road: bool = False
    tumblehome: float = 0.22  # how much narrower the roof is


SHAPES = {
    "sedan": Shape(
        4.6,
        0.90,
        (
            (0, 0.62, 0.62),
            (0.02, 0.68, 0.68),
            (0.05, 0.74, 0.74),
            (0.26, 0.92, 0.92),
            (0.42, 0.95, 1.40),
            (0.52, 0.95, 1.45),
            (0.64, 0.96, 1.43),
            (0.80, 1.0, 1.04),
            (0.95, 1.0, 1.0),
            (0.985, 0.92, 0.92),
            (1, 0.80, 0.80),
        ),
    ),
    "hatch": Shape(
        4.0,
        0.87,
        (
            (0, 0.62, 0.62),
            (0.02, 0.7, 0.7),
            (0.06, 0.78, 0.78),
            (0.24, 0.95, 0.95),
            (0.43, 0.98, 1.43),
            (0.55, 0.99, 1.50),
            (0.80, 1.02, 1.46),
            (0.95, 1.04, 1.10),
            (0.985, 0.95, 0.95),
            (1, 0.80, 0.80),
        ),
        0.92,
        tall=True,
    ),
    "wagon": Shape(
        4.7,
        0.90,
        (
            (0, 0.62, 0.62),
            (0.02, 0.7, 0.7),
            (0.05, 0.76, 0.76),
            (0.25, 0.94, 0.94),
            (0.40, 0.97, 1.42),
            (0.50, 0.97, 1.48),
            (0.86, 1.0, 1.44),
            (0.97, 1.02, 1.08),
            (0.99, 0.95, 0.95),
            (1, 0.80, 0.80),
        ),
        0.9,
        tall=True,
    ),
    "suv": Shape(
        4.6,
        0.95,
        (
            (0, 0.75, 0.75),
            (0.02, 0.85, 0.85),
            (0.05, 0.95, 0.95),
            (0.25, 1.10, 1.10),
            (0.38, 1.13, 1.66),
            (0.48, 1.14, 1.74),
            (0.84, 1.16, 1.70),
            (0.96, 1.18, 1.26),
            (0.985, 1.1, 1.1),
            (1, 0.9, 0.9),
        ),
        0.95,
        tall=True,
        off_road=True,
        tumblehome=0.16,
    ),
    "van": Shape(
        5.0,
        0.97,
        (
            (0, 0.72, 0.72),
            (0.02, 0.85, 0.85),
            (0.05, 0.95, 0.95),
            (0.15, 1.12, 1.12),
            (0.27, 1.2, 1.86),
            (0.34, 1.2, 1.95),
            (0.95, 1.2, 1.94),
            (0.985, 1.2, 1.5),
            (0.993, 1.1, 1.1),
            (1, 0.8, 0.8),
        ),
        1.05,
        tall=True,
        tumblehome=0.10,
    ),
    "mini": Shape(
        3.5,
        0.80,
        (
            (0, 0.62, 0.62),
            (0.02, 0.72, 0.72),
            (0.07, 0.82, 0.82),
            (0.20, 0.97, 0.97),
            (0.38, 1.0, 1.43),
            (0.50, 1.0, 1.50),
            (0.86, 1.03, 1.46),
            (0.97, 1.05, 1.12),
            (0.99, 0.95, 0.95),
            (1, 0.75, 0.75),
        ),
        0.9,
    ),
    "pickup": Shape(
        5.4,
        0.98,
        (
            (0, 0.8, 0.8),
            (0.02, 0.92, 0.92),
            (0.05, 1.02, 1.02),
            (0.25, 1.12, 1.12),
            (0.34, 1.15, 1.70),
            (0.42, 1.15, 1.78),
            (0.57, 1.15, 1.76),
            (0.61, 1.15, 1.2),
            (0.97, 1.13, 1.13),
            (0.985, 1.0, 1.0),
            (1, 0.8, 0.8),
        ),
        0.98,
        tall=True,
        off_road=True,
    ),
}


def car(mesh, rng, world, lights=False):
    """A car of the kinds that a world has; returns its length and half width."""
    kind = pick(rng, world.cars)
    shape = SHAPES[kind]
    size = rng.uniform(0.95, 1.05)
    length, half_width = shape.length * size, shape.half_width * rng.uniform(0.97, 1.03)
    paint = np.array(pick(rng, PAINTS))
    paint = np.clip(paint * rng.uniform(0.85, 1.15), 0.02, 0.92)
    height = rng.uniform(0.97, 1.04)
    place, belt, roof = _stations(shape, height)
    bottom = (
        0.20
        + 0.05 * (shape.off_road or kind == "van")
        + 0.10 * np.clip((0.06 - place) / 0.06, 0, 1)
        + 0.12 * np.clip((place - 0.93) / 0.07, 0, 1)
    )
    hull = _hull(shape, place, length, half_width, bottom, belt, roof)
    cabin = np.clip((roof - belt) / 0.3, 0, 1)
    _shell(mesh, rng, kind, size, hull, place, length, cabin, roof, paint)

    front, rear = length / 2, -length / 2
    _ends(mesh, rng, kind, half_width, front, rear, bottom[3], belt, paint)
    first_glass = np.argmax(cabin > 0.5)
    mirror_y = front - place[first_glass] * length - 0.12
    mirror_z = belt[first_glass] + 0.06
    profile = np.array(shape.profile)
    high = profile[:, 0][profile[:, 2] * height - profile[:, 1] * height > 0.35]
    pillar = (high[0] + high[-1]) / 2
    for side in (-1, 1):
        _lamps(mesh, shape, side, half_width, front, rear, belt[0], height, lights)
        mirror = (side * (half_width + 0.08), mirror_y, mirror_z)
        mirror_paint = paint if rng.random() < 0.7 else DARK
        mesh.box(CAR, mirror, (0.17, 0.09, 0.13), mirror_paint, 0.3)
        _door(mesh, side, half_width, length, pillar, height, belt.max(), paint)
        _wheels(mesh, rng, side, half_width, length, 0.37 if shape.off_road else 0.32)
    if world.taxis and kind == "sedan" and abs(paint[0] - 0.75) < 0.1 and paint[2] < 0.2:
        mesh.box(CAR, (0, -0.1, 1.52), (0.5, 0.2, 0.16), (0.85, 0.8, 0.6), 0.4)
    return length, half_width


def _stations(shape, height):
    """Places along the length at which there is a cross section, with belt and roof heights."""
    profile = np.array(shape.profile)
    at, belt, roof = profile[:, 0], profile[:, 1] * height, profile[:, 2] * height
    place = np.unique(np.concatenate([at, np.linspace(0.02, 0.98, 13)]))
    place = place[np.concatenate([[True], np.diff(place) > 0.008])]
    return place, np.interp(place, at, belt), np.interp(place, at, roof)


def _hull(shape, place, length, half_width, bottom, belt, roof):
    """Points of the body (stations, 17, 3), each cross section from right to left."""
    y = length / 2 - place * length
    ends = np.minimum(place, 1 - place)
    wide = half_width * (0.84 + 0.16 * np.clip(ends / 0.10, 0, 1) ** 0.5)
    above = roof - belt
    cabin = np.clip(above / 0.3, 0, 1)
    tumblehome = shape.tumblehome
    side = belt - bottom
    leaning = 0.93 - tumblehome * np.clip(above / 0.45, 0, 1)
    x = [
        0.80 * wide,
        0.965 * wide,
        1.0 * wide,
        1.005 * wide,
        0.965 * wide,
        wide * (0.93 * cabin + 0.90 * (1 - cabin)),
        wide * (leaning * cabin + 0.78 * (1 - cabin)),
        wide * ((0.93 - tumblehome) * 0.82 * cabin + 0.5 * (1 - cabin)),
        0 * wide,
    ]
    z = [
        bottom,
        bottom + 0.05,
        bottom + 0.3 * side,
        bottom + 0.72 * side,
        belt,
        belt + 0.015,
        np.where(cabin > 0.05, roof - 0.07 * cabin, belt + 0.02),
        np.where(cabin > 0.05, roof - 0.012, belt + 0.035),
        roof + 0.015 + 0.02 * (1 - cabin),
    ]
    right = np.stack([np.stack([x[k], y, z[k]], -1) for k in range(9)], 1)
    left = (right[:, ::-1] * np.array([-1, 1, 1]))[:, 1:]
    return np.concatenate([right, left], 1)


def _shell(mesh, rng, kind, size, hull, place, length, cabin, roof, paint):
    """The body with its windows; a small van has none at the back."""
    off_road = SHAPES[kind].off_road
    count, columns = len(hull) - 1, hull.shape[1] - 1
    color = np.broadcast_to(paint, (count, columns, 3)).copy()
    roughness = np.full((count, columns), 0.22)

    def cover(i, strips, what, rough):
        for k in strips:
            color[i, k] = what
            roughness[i, k] = rough

    middle = (place[1:] + place[:-1]) / 2
    slope = np.abs(np.diff(roof)) / (np.diff(place) * length)
    for i in range(count):
        lower, higher = sorted((cabin[i], cabin[i + 1]))
        side_window = lower > 0.85
        if side_window and kind == "van":
            rng.random()  # not used
            side_window = middle[i] <= 0.5 or size >= 1.0
        if side_window:
            cover(i, (5, 10), GLASS, 0.06)
        behind_cab = kind == "pickup" and middle[i] > 0.63
        if higher > 0.4 and slope[i] > 0.35 and not behind_cab:  # windscreen, rear window
            cover(i, (6, 7, 8, 9), GLASS, 0.05)
            if lower > 0.3:
                cover(i, (5, 10), GLASS, 0.06)
        cover(i, (0, 15), (0.06, 0.06, 0.06), 0.7)
        if off_road and size > 1.0:
            cover(i, (1, 14), (0.09, 0.09, 0.09), 0.6)
    mesh.grid(CAR, hull, color, roughness)
    for ring, out in ((hull[0], 1), (hull[-1], -1)):
        middle_point = ring.mean(0)
        middle_point[0] = 0
        close(mesh, CAR, ring, middle_point + [0, 0.02 * out, 0], paint * 0.9, 0.3)


def _ends(mesh, rng, kind, half_width, front, rear, bottom, belt, paint):
    """Grille, bumpers and number plates."""
    mesh.box(CAR, (0, front, bottom + 0.20), (half_width * 1.35, 0.06, 0.16), DARK, 0.5)
    mesh.box(CAR, (0, front - 0.02, belt[0] - 0.10), (half_width * 0.7, 0.08, 0.12), DARK, 0.4)
    plate = (0.85, 0.85, 0.82) if rng.random() < 0.7 else (0.8, 0.68, 0.15)
    mesh.box(CAR, (0, front + 0.03, bottom + 0.27), (0.50, 0.03, 0.11), (0.82, 0.82, 0.80), 0.5)
    plate_z = belt[-1] - 0.08 if kind in ("sedan", "hatch", "mini") else 0.62
    mesh.box(CAR, (0, rear - 0.025, plate_z), (0.50, 0.03, 0.12), plate, 0.5)
    bumper = DARK if rng.random() < 0.5 else paint * 0.8
    mesh.box(CAR, (0, rear, 0.38), (half_width * 1.6, 0.08, 0.14), bumper, 0.5)


def _lamps(mesh, shape, side, half_width, front, rear, belt, height, lights):
    x = side * half_width * 0.66
    lamp = (x, front - 0.10, belt - 0.02)
    mesh.ellipsoid(CAR, lamp, (0.20, 0.13, 0.075), (0.85, 0.86, 0.88), 0.08, 8, 6)
    if lights:
        beam = (x, front + 0.06, belt - 0.02)
        mesh.disc(CAR, beam, (0, 1, 0), 0.075, HEADLIGHT, sides=8, material="light")
    x, z = side * half_width * 0.80, shape.tail_light * height
    size = (0.15, 0.12, 0.3) if shape.tall else (0.20, 0.12, 0.14)
    mesh.box(CAR, (x, rear + 0.035, z), size, RED_LAMP, 0.12)
    if lights:
        red = (0.9, 0.03, 0.02)
        mesh.box(CAR, (x, rear - 0.03, z), (0.13, 0.012, 0.1), red, material="light")


def _door(mesh, side, half_width, length, pillar, height, belt, paint):
    """Handles, the line between the doors and the pillar above it."""
    for place in (pillar - 0.06, pillar + 0.16):
        handle = (side * half_width * 1.0, length / 2 - place * length, 0.80 * height + 0.05)
        mesh.box(CAR, handle, (0.03, 0.16, 0.03), paint * 0.6, 0.3)
    line = (side * half_width * 1.003, length / 2 - (pillar + 0.02) * length, 0.62)
    mesh.box(CAR, line, (0.012, 0.02, 0.5), paint * 0.35, 0.5)
    post = (side * half_width * 0.90, length / 2 - (pillar + 0.01) * length, belt + 0.2)
    mesh.box(CAR, post, (0.09, 0.07, 0.40), DARK, 0.3)


def _wheels(mesh, rng, side, half_width, length, radius):
    out = (side, 0, 0)
    for y in (length * 0.5 - length * 0.185, -length * 0.5 + length * 0.19):

        def at(offset, y=y, z=radius):
            return (side * (half_width + offset), y, z)

        arch = (side * (half_width * 1.0 + 0.012), y, radius + 0.03)
        mesh.disc(CAR, arch, out, radius + 0.07, (0.03, 0.03, 0.03), 0.9, 18)
        inner = (side * (half_width - 0.18), y, radius)
        mesh.cylinder(CAR, inner, at(0.02), radius, radius, TYRE, 0.85, 18)
        mesh.disc(CAR, at(0.021), out, radius, TYRE, 0.85, 18)
        rim = np.array([0.55, 0.56, 0.58]) * rng.uniform(0.5, 1.2)
        mesh.disc(CAR, at(0.028), out, radius * 0.66, rim * 0.35, 0.3, 14)
        for angle in np.arange(5) * 2 * np.pi / 5:
            dy, dz = 0.5 * radius * 0.6 * np.cos(angle), 0.5 * radius * 0.6 * np.sin(angle)
            mesh.box(CAR, at(0.034, y + dy, radius + dz), (0.012, 0.07, 0.07), rim, 0.25)
        mesh.disc(CAR, at(0.036), out, radius * 0.2, rim, 0.25, 8)
