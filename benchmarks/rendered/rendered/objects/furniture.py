"""Small things at the kerb: lamps, bollards, bins, shelters and the like."""

import numpy as np

from ..chance import one_of
from ..labels import IGNORE, POLE
from .bodies import grey

BIN_COLORS = ((0.1, 0.12, 0.1), (0.3, 0.3, 0.3), (0.08, 0.22, 0.12), (0.25, 0.1, 0.08))


def lamp(mesh, rng, world, night, side):
    """A street lamp on a mast; its arm reaches towards -x times `side`, over the road."""
    height = rng.uniform(*world.lamp_height)
    color = np.array([0.35, 0.36, 0.37]) * rng.uniform(0.4, 1.3)
    mesh.cylinder(POLE, (0, 0, 0), (0, 0, height), 0.10, 0.065, color, 0.5, 8)
    mesh.cylinder(POLE, (0, 0, 0), (0, 0, 0.9), 0.15, 0.14, color, 0.6, 8)
    if world.spare_numbers:
        rng.random()  # not used
    arm = rng.uniform(1.2, 2.6)
    mesh.cylinder(POLE, (0, 0, height), (-side * arm, 0, height + 0.35), 0.05, 0.045, color, 0.5, 6)
    head = -side * (arm + 0.3)
    mesh.box(POLE, (head, 0, height + 0.33), (0.75, 0.28, 0.13), color * 0.9, 0.5)
    mesh.box(POLE, (head, 0, height + 0.255), (0.55, 0.2, 0.02), (0.85, 0.85, 0.8), 0.3)
    if night:
        bulb = (head, 0, height + 0.235)
        mesh.box(POLE, bulb, (0.5, 0.2, 0.015), (1.0, 0.72, 0.38), material="light")


def lantern(mesh, rng, night):
    """An old-fashioned lamp without an arm."""
    height = rng.uniform(3.2, 4.2)
    color = np.array([0.07, 0.09, 0.08])
    mesh.cylinder(POLE, (0, 0, 0), (0, 0, height), 0.06, 0.045, color, 0.4, 8)
    mesh.cylinder(POLE, (0, 0, 0), (0, 0, 0.8), 0.11, 0.09, color, 0.4, 8)
    glass, roof = (0, 0, height + 0.5), (0, 0, height + 0.75)
    mesh.cylinder(POLE, (0, 0, height), glass, 0.12, 0.22, (0.75, 0.74, 0.68), 0.3, 6)
    mesh.cylinder(POLE, glass, roof, 0.26, 0.04, color, 0.4, 6)
    if night:
        mesh.ellipsoid(POLE, (0, 0, height + 0.62), 0.14, (1, 0.75, 0.4), material="light")


def utility_pole(mesh, rng, wood):
    """A pole for wires, with a crossbar if it is high."""
    height = rng.uniform(4, 9)
    color = (0.30, 0.24, 0.18) if wood and rng.uniform() < 0.6 else (0.35, 0.35, 0.36)
    mesh.cylinder(POLE, (0, 0, 0), (0, 0, height), 0.11, 0.09, color, 0.7, 8)
    if height > 7:
        mesh.cylinder(POLE, (-0.9, 0, height - 0.4), (0.9, 0, height - 0.4), 0.05, 0.05, color)


def bollard(mesh, rng):
    """A low post."""
    color = (0.08, 0.08, 0.08) if rng.random() < 0.6 else (0.5, 0.5, 0.5)
    mesh.cylinder(POLE, (0, 0, 0), (0, 0, 0.95), 0.075, 0.07, color, 0.5, 8)
    mesh.ellipsoid(POLE, (0, 0, 0.97), 0.085, color, 0.5, 8, 6)
    mesh.cylinder(POLE, (0, 0, 0.75), (0, 0, 0.85), 0.08, 0.08, grey(0.75), 0.4, 8)


def litter_bin(mesh, rng):
    """A bin."""
    color = np.array(one_of(rng, BIN_COLORS))
    mesh.cylinder(IGNORE, (0, 0, 0.05), (0, 0, 0.95), 0.27, 0.3, color, 0.6, 10)
    mesh.cylinder(IGNORE, (0, 0, 0.95), (0, 0, 1.08), 0.32, 0.2, color * 0.7, 0.6, 10)
    mesh.disc(IGNORE, (0, 0, 1.08), (0, 0, 1), 0.2, grey(0.03))


def hydrant(mesh, rng):
    """A hydrant."""
    color = (0.6, 0.06, 0.04) if rng.random() < 0.5 else (0.8, 0.6, 0.08)
    mesh.cylinder(IGNORE, (0, 0, 0), (0, 0, 0.6), 0.12, 0.11, color, 0.5, 10)
    mesh.ellipsoid(IGNORE, (0, 0, 0.62), (0.13, 0.13, 0.12), color)
    mesh.cylinder(IGNORE, (-0.22, 0, 0.45), (0.22, 0, 0.45), 0.06, 0.06, color, 0.5, 8, True)


def cabinet(mesh, rng):
    """A grey box of a utility."""
    color = np.array([0.4, 0.42, 0.4]) * rng.uniform(0.4, 1.2)
    mesh.box(IGNORE, (0, 0, 0.6), (0.45, 0.8, 1.2), color, 0.6)


def cone(mesh):
    """A traffic cone."""
    mesh.box(IGNORE, (0, 0, 0.02), (0.36, 0.36, 0.04), grey(0.08))
    mesh.cylinder(IGNORE, (0, 0, 0.03), (0, 0, 0.7), 0.14, 0.03, (0.85, 0.28, 0.05), 0.6, 10)
    mesh.cylinder(IGNORE, (0, 0, 0.32), (0, 0, 0.48), 0.10, 0.07, grey(0.85), 0.5, 10)


def bus_shelter(mesh, rng, side):
    """A bus stop with its back to +x times `side`."""
    for y in (-1.8, 1.8):
        for x in (0.6, -0.5):
            mesh.cylinder(IGNORE, (side * x, y, 0), (side * x, y, 2.4), 0.04, 0.04, grey(0.2))
    mesh.box(IGNORE, (0, 0, 2.45), (1.5, 4.0, 0.1), grey(0.25), 0.4)
    mesh.box(IGNORE, (side * 0.62, 0, 1.3), (0.02, 3.6, 1.9), (0.30, 0.34, 0.36), 0.06)
    poster = rng.random(3) * 0.6 + 0.2
    mesh.box(IGNORE, (side * 0.1, -1.85, 1.2), (1.0, 0.12, 1.9), poster, 0.2)
    mesh.box(IGNORE, (side * 0.4, 0, 0.5), (0.35, 2.6, 0.06), (0.3, 0.2, 0.12), 0.6)


def cafe(mesh, rng, side):
    """Two tables and a parasol."""
    x = side * 0.6
    for y in (0, 1.4):
        top = (x, y, 0.72), (x, y, 0.75)
        mesh.cylinder(IGNORE, *top, 0.35, 0.35, (0.3, 0.2, 0.12), 0.6, 12, True)
        mesh.cylinder(IGNORE, (x, y, 0), (x, y, 0.72), 0.03, 0.03, grey(0.1))
    mesh.cylinder(IGNORE, (x, 0.7, 0), (x, 0.7, 2.6), 0.03, 0.03, grey(0.2))
    cloth = np.clip(rng.random(3), 0.1, 0.8)
    mesh.cylinder(IGNORE, (x, 0.7, 2.3), (x, 0.7, 2.8), 1.3, 0.05, cloth, 0.8, 12)


def wire(mesh, start, end):
    """A wire between two points."""
    mesh.cylinder(IGNORE, start, end, 0.014, 0.014, grey(0.07), sides=4)
