"""Buses."""

import numpy as np

from ..chance import happens, one_of
from ..labels import BUS
from .bodies import HEADLIGHT, RED_LAMP, grey, large_wheels, rounded_body

LIVERIES = (
    (0.75, 0.76, 0.78),
    (0.12, 0.25, 0.55),
    (0.62, 0.08, 0.07),
    (0.78, 0.60, 0.10),
    (0.10, 0.40, 0.30),
    (0.86, 0.86, 0.84),
    (0.55, 0.30, 0.60),
)
HALF_WIDTH = 1.27


def bus(mesh, rng, world, lights=False):
    """A city bus, double-decker or school bus; returns its length and half width."""
    length, height = rng.uniform(10.5, 12.5), rng.uniform(2.95, 3.2)
    double = happens(rng, world.double_deckers)
    if double:
        height, length = 4.3, 10.5
    color, stripe = np.array(one_of(rng, LIVERIES)), np.array(one_of(rng, LIVERIES))
    if happens(rng, world.school_buses):
        color, stripe = np.array([0.85, 0.62, 0.05]), np.array([0.05, 0.05, 0.05])
    rounded_body(mesh, BUS, length, HALF_WIDTH, 0.30, height, color)
    for side in (-1, 1):
        _side(mesh, rng, side, length, height, double, stripe, lights)
    _front_and_rear(mesh, rng, length, height, double, color)
    large_wheels(mesh, BUS, HALF_WIDTH, (length * 0.27, -length * 0.26))
    return length, HALF_WIDTH


def _side(mesh, rng, side, length, height, double, stripe, lights):
    x = side * HALF_WIDTH
    mesh.box(BUS, (x, 0, 0.62), (0.03, length * 0.96, 0.5), stripe, 0.4)
    for deck in (0, 1) if double else (0,):
        z = (1.65 if double else 1.75) + 1.65 * deck
        windows = int(length / 1.45)
        band, pane = (0.85, 0.75) if double else (1.02, 0.9)
        mesh.box(BUS, (x, 0, z), (0.036, length * 0.93, band), (0.04, 0.045, 0.05), 0.08)
        for i in range(windows):
            y = -length * 0.465 + (i + 0.5) * length * 0.93 / windows
            glass = np.array([0.07, 0.085, 0.1]) * rng.uniform(0.6, 1.5)
            mesh.box(BUS, (x, y, z), (0.05, length * 0.93 / windows - 0.12, pane), glass, 0.05)
    for place in (0.36, -0.05):  # doors
        door = (x, length * place, 1.35)
        mesh.box(BUS, door, (0.055, 1.15, 2.05), (0.06, 0.07, 0.08), 0.07)
        mesh.box(BUS, door, (0.06, 0.05, 2.05), grey(0.3), 0.4)
    mesh.box(BUS, (side * 0.98, length / 2 + 0.02, 0.72), (0.32, 0.06, 0.2), grey(0.85), 0.1)
    mesh.box(BUS, (side * 1.02, -length / 2 - 0.02, 1.1), (0.18, 0.05, 0.45), RED_LAMP, 0.15)
    mirror = (side * (HALF_WIDTH + 0.2), length / 2 + 0.12, height - 0.65)
    mesh.box(BUS, mirror, (0.14, 0.10, 0.38), grey(0.05), 0.4)
    if lights:
        beam = (side * 0.98, length / 2 + 0.06, 0.72)
        mesh.box(BUS, beam, (0.2, 0.01, 0.12), HEADLIGHT, material="light")


def _front_and_rear(mesh, rng, length, height, double, color):
    front, rear = length / 2, -length / 2
    top = height - (2.3 if double else 0.35)
    glass = (0.05, 0.06, 0.07)
    mesh.box(BUS, (0, front - 0.02, (1.15 + top) / 2), (2.15, 0.10, top - 1.15), glass, 0.05)
    if double:
        mesh.box(BUS, (0, front - 0.02, 3.3), (2.15, 0.10, 1.0), glass, 0.05)
    sign_z = 2.45 if double else height - 0.26
    mesh.box(BUS, (0, front + 0.02, sign_z), (1.7, 0.08, 0.26), grey(0.03), 0.3)
    for i in range(9):  # its letters
        if rng.random() < 0.8:
            letter = (-0.6 + 0.15 * i, front + 0.065, sign_z)
            mesh.box(BUS, letter, (0.09, 0.01, 0.14), (0.9, 0.55, 0.1), 0.5)
    mesh.box(BUS, (0, front + 0.02, 0.45), (2.2, 0.07, 0.12), grey(0.06), 0.5)
    mesh.box(BUS, (0, rear - 0.01, 2.1), (1.9, 0.06, 0.9), (0.05, 0.055, 0.06), 0.06)
    mesh.box(BUS, (0, rear - 0.02, 0.95), (1.5, 0.05, 0.6), color * 0.45, 0.5)
    mesh.box(BUS, (0, rear - 0.03, 0.5), (0.5, 0.05, 0.13), grey(0.8), 0.5)
    mesh.box(BUS, (0, -0.5, height + 0.1), (1.5, length * 0.3, 0.22), grey(0.55), 0.5)
