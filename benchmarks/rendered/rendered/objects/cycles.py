"""Bicycles and motorcycles, without riders."""

import numpy as np

from ..labels import BICYCLE, MOTORCYCLE
from .bodies import RED_LAMP, grey


def bicycle(mesh, rng):
    """A bicycle, perhaps with mudguards and a basket or carrier."""
    painted = rng.random() < 0.6
    color = (
        np.clip(rng.random(3) ** 1.5 * 0.7, 0.03, 0.9) if painted else np.array([0.08, 0.08, 0.09])
    )
    radius = 0.34
    wheels = [np.array([0, -0.52, radius]), np.array([0, 0.53, radius])]
    for hub in wheels:
        mesh.torus(BICYCLE, hub, (1, 0, 0), radius - 0.022, 0.026, grey(0.07), 0.8, 22, 6)
        mesh.torus(BICYCLE, hub, (1, 0, 0), radius - 0.055, 0.013, grey(0.5), 0.3, 20, 4)
        for angle in np.arange(8) * np.pi / 8:
            spoke = np.array([0, np.cos(angle), np.sin(angle)]) * (radius - 0.05)
            mesh.cylinder(BICYCLE, hub - spoke, hub + spoke, 0.005, 0.005, grey(0.5), 0.4, 3)
    _frame(mesh, wheels, color)
    for hub in wheels:
        if rng.random() < 0.6:
            mesh.grid(BICYCLE, _mudguard(hub, radius + 0.03, 0.035, 0.3, 2.6, 9), grey(0.08), 0.5)
    if rng.random() < 0.35:
        mesh.box(BICYCLE, (0, 0.62, 0.85), (0.34, 0.28, 0.24), (0.25, 0.18, 0.1), 0.8)
    elif rng.random() < 0.4:
        mesh.box(BICYCLE, (0, -0.55, 0.76), (0.14, 0.36, 0.03), grey(0.1), 0.6)


def _frame(mesh, wheels, color):
    pedals, seat = np.array([0, -0.08, 0.30]), np.array([0, -0.24, 0.82])
    head, fork = np.array([0, 0.36, 0.84]), np.array([0, 0.42, 0.62])
    tubes = (
        (pedals, seat),
        (pedals, fork),
        (seat * 0.9 + pedals * 0.1, head),
        (fork, head),
        (pedals, wheels[0]),
        (seat * 0.85 + pedals * 0.15, wheels[0]),
        (fork, wheels[1]),
    )
    for start, end in tubes:
        mesh.cylinder(BICYCLE, start, end, 0.024, 0.022, color, 0.3, 6)
    mesh.cylinder(BICYCLE, head, head + [0, 0.0, 0.16], 0.02, 0.02, grey(0.3))
    mesh.cylinder(BICYCLE, (-0.28, 0.36, 1.0), (0.28, 0.36, 1.0), 0.018, 0.018, grey(0.15))
    mesh.ellipsoid(BICYCLE, seat + [0, -0.03, 0.08], (0.09, 0.15, 0.045), grey(0.06))
    mesh.disc(BICYCLE, pedals + [0.03, 0, 0], (1, 0, 0), 0.1, grey(0.25), 0.4, 12)
    for start, end in (
        (pedals + [0.06, 0, 0], pedals + [0.08, 0.05, -0.17]),
        (pedals - [0.06, 0, 0], pedals + [-0.08, -0.05, 0.17]),
    ):
        mesh.cylinder(BICYCLE, start, end, 0.016, 0.016, grey(0.3))


def _mudguard(hub, radius, half_width, start, end, count):
    """Points (count, 2, 3) of an arc over a wheel."""
    return np.stack(
        [
            [
                hub + [x, -radius * np.cos(angle), radius * np.sin(angle)]
                for x in (-half_width, half_width)
            ]
            for angle in np.linspace(start, end, count)
        ]
    )


def motorcycle(mesh, rng):
    """A motorcycle or scooter."""
    painted = rng.random() < 0.7
    color = np.clip(rng.random(3) ** 1.5, 0.04, 0.85) if painted else np.array([0.06, 0.06, 0.07])
    scooter = rng.random() < 0.45
    radius = 0.24 if scooter else 0.30
    rear, front = -0.66, 0.68
    for y in (rear, front):
        mesh.torus(
            MOTORCYCLE, (0, y, radius), (1, 0, 0), radius - 0.065, 0.07, grey(0.07), 0.85, 20, 8
        )
        for side in (1, -1):
            hub = (side * 0.05, y, radius)
            mesh.disc(MOTORCYCLE, hub, (side, 0, 0), radius * 0.6, grey(0.35), 0.3, 14)
    for side in (1, -1):
        fork = (side * 0.07, front, radius), (side * 0.06, 0.42, 0.95)
        mesh.cylinder(MOTORCYCLE, *fork, 0.03, 0.03, grey(0.5), 0.3)
    mesh.cylinder(MOTORCYCLE, (-0.36, 0.34, 1.03), (0.36, 0.34, 1.03), 0.02, 0.02, grey(0.1))
    mesh.ellipsoid(MOTORCYCLE, (0, 0.52, 0.86), (0.11, 0.1, 0.11), grey(0.75), 0.15)
    if scooter:
        _scooter_body(mesh, rng, color)
    else:
        _motorcycle_body(mesh, color)
        guard = _mudguard(np.array([0, front, radius]), radius + 0.03, 0.07, 0.5, 2.4, 8)
        mesh.grid(MOTORCYCLE, guard, color, 0.25)
    mesh.box(MOTORCYCLE, (0, -0.93, 0.72), (0.18, 0.04, 0.08), RED_LAMP, 0.2)
    mesh.box(MOTORCYCLE, (0, -0.95, 0.55), (0.2, 0.02, 0.15), grey(0.8), 0.5)
    for side in (-1, 1):  # mirrors
        stem = (side * 0.25, 0.36, 1.0), (side * 0.32, 0.3, 1.22)
        mesh.cylinder(MOTORCYCLE, *stem, 0.01, 0.01, grey(0.1))
        mesh.ellipsoid(MOTORCYCLE, (side * 0.33, 0.3, 1.24), (0.07, 0.02, 0.045), grey(0.1))


def _scooter_body(mesh, rng, color):
    mesh.ellipsoid(MOTORCYCLE, (0, 0.46, 0.62), (0.20, 0.09, 0.36), color, 0.2)
    mesh.ellipsoid(MOTORCYCLE, (0, -0.42, 0.56), (0.18, 0.42, 0.22), color, 0.2)
    mesh.ellipsoid(MOTORCYCLE, (0, -0.30, 0.80), (0.15, 0.40, 0.06), grey(0.06), 0.5)
    mesh.box(MOTORCYCLE, (0, 0.12, 0.28), (0.32, 0.6, 0.08), color * 0.6, 0.4)
    if rng.random() < 0.4:  # a case
        mesh.box(MOTORCYCLE, (0, -0.75, 0.98), (0.36, 0.34, 0.32), rng.random(3) * 0.6, 0.4)


def _motorcycle_body(mesh, color):
    mesh.ellipsoid(MOTORCYCLE, (0, 0.16, 0.80), (0.17, 0.32, 0.15), color, 0.15)
    mesh.ellipsoid(MOTORCYCLE, (0, -0.34, 0.80), (0.14, 0.38, 0.075), grey(0.05), 0.5)
    mesh.box(MOTORCYCLE, (0, 0.05, 0.45), (0.26, 0.46, 0.34), grey(0.2), 0.35)
    mesh.ellipsoid(MOTORCYCLE, (0, -0.62, 0.86), (0.11, 0.24, 0.08), color, 0.2)
    exhaust = (0.14, 0.1, 0.3), (0.16, -0.75, 0.38)
    mesh.cylinder(MOTORCYCLE, *exhaust, 0.05, 0.06, grey(0.55), 0.2, 8, True)
