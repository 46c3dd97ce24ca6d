"""Trucks: a cab, and what is behind it."""

import numpy as np

from ..chance import one_of, pick
from ..labels import TRUCK
from .bodies import GLASS, RED_LAMP, grey, large_wheels, rounded_body

CAB_COLORS = (
    (0.8, 0.8, 0.8),
    (0.12, 0.2, 0.45),
    (0.55, 0.08, 0.06),
    (0.75, 0.55, 0.1),
    (0.15, 0.3, 0.2),
    (0.3, 0.3, 0.32),
)
LOAD_COLORS = (
    (0.82, 0.82, 0.80),
    (0.75, 0.75, 0.76),
    (0.2, 0.3, 0.5),
    (0.55, 0.5, 0.4),
    (0.6, 0.15, 0.1),
    (0.85, 0.7, 0.2),
)
HALF_WIDTH = 1.22
CAB = 1.9
"""Length of a cab."""


def truck(mesh, rng, world, lights=False):
    """A truck with one of five loads; returns its length and half width."""
    color = np.array(one_of(rng, CAB_COLORS))
    kind = pick(
        rng, [("box", 5), ("tank", 1), ("dump", 2), ("semi", world.semi_trailers), ("flat", 1)]
    )
    cab_height = rng.uniform(2.3, 2.9)
    length = rng.uniform(12, 14) if kind == "semi" else rng.uniform(6.5, 8.5)
    with mesh.at((0, length / 2 - CAB / 2, 0)):
        _cab(mesh, rng, cab_height, color, lights)
    load = length - CAB - 0.15
    load_color = np.array(one_of(rng, LOAD_COLORS)) * rng.uniform(0.8, 1.05)
    mesh.box(TRUCK, (0, -0.2, 0.72), (0.9, length - 0.8, 0.3), grey(0.08), 0.7)
    rear = -length / 2
    if kind in ("box", "semi"):
        top = rng.uniform(2.9, 3.7) if kind == "box" else 3.9
        _box(mesh, rng, rear, load, top, load_color)
    elif kind == "tank":
        start, end = (0, rear + 0.1, 1.95), (0, rear + load, 1.95)
        mesh.cylinder(TRUCK, start, end, 1.1, 1.1, load_color, 0.3, 20, True)
    elif kind == "dump":
        _dumper(mesh, rear, load, load_color)
    else:
        _flat_bed(mesh, rng, rear, load)
    for side in (-1, 1):
        mesh.box(TRUCK, (side * 1.0, rear - 0.02, 0.85), (0.3, 0.06, 0.14), RED_LAMP, 0.2)
    mesh.box(TRUCK, (0, rear, 0.55), (2.3, 0.1, 0.12), grey(0.5), 0.6)
    mesh.box(TRUCK, (0.2, rear - 0.04, 0.78), (0.5, 0.03, 0.12), (0.8, 0.7, 0.2), 0.5)
    axles = [length / 2 - 1.2, rear + 1.4]
    axles += [rear + 2.5] if length > 7.5 else []
    axles += [1.0] if kind == "semi" else []
    large_wheels(mesh, TRUCK, HALF_WIDTH - 0.02, axles, 0.5)
    return length, HALF_WIDTH


def _cab(mesh, rng, height, color, lights):
    front = CAB / 2
    rounded_body(mesh, TRUCK, CAB, HALF_WIDTH, 0.45, height, color, 0.3, 0.18)
    mesh.box(TRUCK, (0, front - 0.03, height * 0.70), (2.1, 0.12, 0.75), GLASS, 0.05)
    mesh.box(TRUCK, (0, front + 0.01, height * 0.42), (1.5, 0.06, 0.42), grey(0.07), 0.4)
    bumper = grey(0.15) if rng.random() < 0.5 else color * 0.7
    mesh.box(TRUCK, (0, front + 0.03, 0.58), (2.35, 0.1, 0.28), bumper, 0.5)
    for side in (-1, 1):
        window = (side * HALF_WIDTH, 0.35, height * 0.70)
        mesh.box(TRUCK, window, (0.05, 0.85, 0.65), GLASS, 0.05)
        mesh.box(TRUCK, (side * 1.0, front + 0.06, 0.75), (0.28, 0.06, 0.16), grey(0.85), 0.1)
        mirror = (side * (HALF_WIDTH + 0.18), front + 0.05, height * 0.7)
        mesh.box(TRUCK, mirror, (0.16, 0.1, 0.45), grey(0.05), 0.5)
        if lights:
            lamp = (side * 1.0, front + 0.095, 0.75)
            mesh.box(TRUCK, lamp, (0.18, 0.01, 0.1), (0.9, 0.9, 0.8), 0.2)


def _box(mesh, rng, rear, load, top, color):
    """A closed box with a picture on each side and doors at the rear."""
    middle = rear + load / 2
    mesh.box(TRUCK, (0, middle, (1.0 + top) / 2), (2.5, load, top - 1.0), color, 0.5)
    for side in (-1, 1):
        picture = rng.random(3) * 0.7 + 0.05
        center = (side * 1.25, middle + rng.uniform(-0.5, 0.5), 1.0 + (top - 1) * 0.55)
        size = (0.02, load * rng.uniform(0.3, 0.8), rng.uniform(0.4, 1.2))
        mesh.box(TRUCK, center, size, picture, 0.5)
        for y in np.linspace(rear + 0.05, rear + load - 0.05, 5):
            rib = (side * 1.25, y, (1 + top) / 2)
            mesh.box(TRUCK, rib, (0.03, 0.06, top - 1), color * 0.85, 0.5)
    gap = (0, rear - 0.01, (1 + top) / 2)
    mesh.box(TRUCK, gap, (0.04, 0.03, top - 1.1), color * 0.5, 0.5)
    for x in (-0.6, 0.6):
        bar = (x, rear - 0.02, (1 + top) / 2)
        mesh.box(TRUCK, bar, (0.05, 0.03, top - 1.2), grey(0.5), 0.5)


def _dumper(mesh, rear, load, color):
    middle = rear + load / 2
    for side in (-1, 1):
        mesh.box(TRUCK, (side * 1.17, middle, 1.65), (0.1, load, 1.2), color, 0.6)
        for y in np.linspace(rear + 0.2, rear + load - 0.2, 5):
            mesh.box(TRUCK, (side * 1.24, y, 1.65), (0.06, 0.12, 1.2), color * 0.8, 0.6)
    mesh.box(TRUCK, (0, rear + 0.05, 1.65), (2.4, 0.1, 1.2), color, 0.6)
    mesh.box(TRUCK, (0, rear + load, 1.85), (2.4, 0.1, 1.6), color, 0.6)
    earth = (1.1, load * 0.45, 0.75)
    mesh.ellipsoid(TRUCK, (0, middle, 1.7), earth, (0.4, 0.34, 0.26), 0.95)


def _flat_bed(mesh, rng, rear, load):
    middle = rear + load / 2
    mesh.box(TRUCK, (0, middle, 1.05), (2.45, load, 0.14), (0.35, 0.27, 0.2), 0.8)
    for _ in range(rng.integers(2, 5)):
        center = (rng.uniform(-0.4, 0.4), middle + rng.uniform(-0.35, 0.35) * load, 1.55)
        size = (rng.uniform(0.8, 1.5), rng.uniform(0.8, 1.5), 0.9)
        mesh.box(TRUCK, center, size, rng.random(3) * 0.5 + 0.1, 0.8)
