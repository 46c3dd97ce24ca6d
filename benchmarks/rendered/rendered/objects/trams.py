"""Trams."""

import numpy as np

from ..chance import one_of
from ..labels import TRAIN
from .bodies import GLASS, grey, rounded_body

LIVERIES = (
    (0.80, 0.78, 0.70),
    (0.62, 0.07, 0.06),
    (0.80, 0.62, 0.08),
    (0.15, 0.35, 0.55),
    (0.15, 0.42, 0.25),
    (0.78, 0.79, 0.8),
    (0.35, 0.37, 0.4),
)
HALF_WIDTH, HEIGHT = 1.25, 3.45


def tram(mesh, rng):
    """A tram of two to four sections; returns its length and half width."""
    sections, section = int(rng.integers(2, 5)), rng.uniform(7, 9)
    color, stripe = np.array(one_of(rng, LIVERIES)), np.array(one_of(rng, LIVERIES))
    length = sections * (section + 0.6)
    for i in range(sections):
        with mesh.at((0, length / 2 - (i + 0.5) * (section + 0.6), 0)):
            _section(mesh, rng, section, color, stripe)
            if i < sections - 1:
                joint = (0, -section / 2 - 0.3, 1.8)
                mesh.box(TRAIN, joint, (2.2, 0.7, 2.8), grey(0.08), 0.9)
    for end in (1, -1):
        y = end * (length / 2 - 0.3)
        mesh.box(TRAIN, (0, y - end * 0.02, 2.15), (2.05, 0.12, 1.25), GLASS, 0.05)
        mesh.box(TRAIN, (0, y + end * 0.02, 3.02), (1.5, 0.06, 0.26), grey(0.04), 0.3)
        for x in (-0.8, 0.8):
            mesh.ellipsoid(TRAIN, (x, y, 0.95), (0.16, 0.08, 0.12), grey(0.85), 0.1)
        mesh.box(TRAIN, (0, y, 0.5), (2.0, 0.2, 0.3), grey(0.1), 0.6)
    _pantograph(mesh)
    return length, HALF_WIDTH


def _section(mesh, rng, length, color, stripe):
    rounded_body(mesh, TRAIN, length, HALF_WIDTH, 0.22, HEIGHT, color, 0.3, 0.3)
    for side in (-1, 1):
        x = side * HALF_WIDTH
        mesh.box(TRAIN, (x, 0, 0.6), (0.03, length * 0.9, 0.6), stripe, 0.4)
        band = (0.036, length * 0.92, 1.15)
        mesh.box(TRAIN, (x, 0, 2.0), band, (0.04, 0.045, 0.05), 0.08)
        windows = 5
        for i in range(windows):
            y = -length * 0.46 + (i + 0.5) * length * 0.92 / windows
            size = (0.05, length * 0.92 / windows - 0.14, 1.0)
            glass = np.array([0.07, 0.085, 0.1]) * rng.uniform(0.6, 1.5)
            mesh.box(TRAIN, (x, y, 2.0), size, glass, 0.05)
        for place in (-0.25, 0.2):  # doors
            y = length * place
            mesh.box(TRAIN, (x, y, 1.45), (0.056, 1.3, 2.2), stripe * 0.8, 0.3)
            mesh.box(TRAIN, (x, y, 1.7), (0.066, 1.1, 1.4), (0.06, 0.07, 0.08), 0.05)
    mesh.box(TRAIN, (0, 0, HEIGHT + 0.18), (1.6, length * 0.6, 0.35), grey(0.5), 0.6)
    mesh.box(TRAIN, (0, 0, 0.3), (2.2, length * 0.8, 0.4), grey(0.08), 0.8)


def _pantograph(mesh):
    dark = grey(0.2)
    for x in (-0.5, 0.5):
        mesh.cylinder(TRAIN, (x, 0, HEIGHT + 0.3), (x, 0.9, 4.6), 0.03, 0.03, dark)
    mesh.cylinder(TRAIN, (-0.9, 0.9, 5.2), (0.9, 0.9, 5.2), 0.04, 0.04, dark)
    mesh.cylinder(TRAIN, (0, 0.9, 4.6), (0, 0.9, 5.2), 0.03, 0.03, dark)
