"""Traffic lights."""

import numpy as np

from ..chance import happens, one_of
from ..labels import POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN
from .bodies import grey

RED_YELLOW_GREEN = ((0.85, 0.05, 0.04), (0.90, 0.55, 0.04), (0.05, 0.80, 0.40))
HOUSING = (0.05, 0.055, 0.05)


def traffic_light(mesh, rng, world, side, state):
    """A light at the kerb at x times `side`, facing -y; `state` is 0 red, 1 yellow, 2 green."""
    color = np.array([0.3, 0.31, 0.3]) * rng.uniform(0.3, 1.4)
    housing = one_of(rng, world.signal_housings) if world.signal_housings else HOUSING
    if happens(rng, world.mast_arms):
        _on_mast_arm(mesh, rng, side, state, color, housing)
    else:
        _on_post(mesh, rng, side, state, color)


def _on_mast_arm(mesh, rng, side, state, color, housing):
    height, arm = rng.uniform(5.4, 6.2), rng.uniform(3.5, 7.0)
    mesh.cylinder(POLE, (0, 0, 0), (0, 0, height), 0.13, 0.09, color, 0.5, 8)
    start, end = (0, 0, height - 0.2), (-side * arm, 0, height + 0.15)
    mesh.cylinder(POLE, start, end, 0.075, 0.05, color, 0.5, 6)
    for x in [arm - 0.2] + ([arm * 0.5] if rng.random() < 0.6 else []):
        place = (-side * x, -0.1, height - 0.1)
        _head(mesh, place, 0, state, rng.random() < 0.2, True, housing)
    if rng.random() < 0.6:  # a street's name
        x = -side * arm * 0.3
        size = (rng.uniform(1.2, 2.0), 0.04, 0.42)
        mesh.box(TRAFFIC_SIGN, (x, -0.12, height - 0.12), size, (0.05, 0.30, 0.18), 0.4)
        size = (rng.uniform(0.7, 1.0), 0.01, 0.14)
        mesh.box(TRAFFIC_SIGN, (x, -0.145, height - 0.12), size, grey(0.85), 0.4)
    _head(mesh, (0, -0.25, 2.9), 0, state, False, False, housing)


def _on_post(mesh, rng, side, state, color):
    height = rng.uniform(3.0, 3.7)
    mesh.cylinder(POLE, (0, 0, 0), (0, 0, height + 0.2), 0.065, 0.06, color, 0.5, 8)
    _head(mesh, (0, -0.22, height - 0.25), 0, state, False, rng.random() < 0.6, HOUSING)
    if rng.random() < 0.5:
        place = (-side * 0.25, -0.02, height - 0.4)
        other = rng.integers(3)
        _head(mesh, place, side * np.pi * 0.5, other, False, False, HOUSING)


def _head(mesh, place, turn, state, horizontal, plate, housing):
    """Three lamps in a housing."""
    housing = np.array(housing)
    with mesh.at(place, turn):
        size = (1.0, 0.28, 0.36) if horizontal else (0.34, 0.26, 0.98)
        mesh.box(TRAFFIC_LIGHT, (0, 0, 0), size, housing, 0.5)
        if plate:
            plate_size = (size[0] + 0.26, 0.03, size[2] + 0.26)
            mesh.box(TRAFFIC_LIGHT, (0, 0.08, 0), plate_size, grey(0.03), 0.7)
        for i, color in enumerate(RED_YELLOW_GREEN):
            across = (i - 1) * 0.31, -0.15, 0
            upright = 0, -0.15, (1 - i) * 0.31
            lamp = np.array(across if horizontal else upright)
            bright = np.array(color) * (1 if i == state else 0.14)
            mesh.disc(TRAFFIC_LIGHT, lamp, (0, -1, 0), 0.115, bright, 0.4, 12)
            if i == state:
                mesh.disc(
                    TRAFFIC_LIGHT, lamp - [0, 0.01, 0], (0, -1, 0), 0.10, color,
                    sides=10, material="light",
                )  # fmt: skip
            visor = [
                [lamp + [0.13 * np.cos(angle), y, 0.13 * np.sin(angle)] for y in (0, -0.2)]
                for angle in np.linspace(0.0, np.pi, 7)
            ]
            mesh.grid(TRAFFIC_LIGHT, np.stack(visor), housing, 0.6)
