"""Traffic signs. A sign faces -y, the traffic that comes towards it."""

import numpy as np

from ..chance import one_of, pick
from ..labels import POLE, TRAFFIC_SIGN
from ..shapes import frame
from .bodies import grey

RED, WHITE, BLUE = (0.62, 0.04, 0.05), (0.86, 0.86, 0.85), (0.04, 0.18, 0.50)
BLACK, YELLOW, GREEN = grey(0.03), (0.88, 0.62, 0.05), (0.05, 0.3, 0.18)
METAL = (0.45, 0.46, 0.47)
FACING = (0, -1, 0)
_U, _V, _ = frame(np.array([0, -1.0, 0]))
UPWARD = np.arctan2(_V[2], _U[2])
"""The turn at which a polygon's first corner points up."""


def sign(mesh, rng, world):
    """One or two signs of a world on a pole, a few of them seen from behind."""
    kind = pick(rng, world.signs)
    height = rng.uniform(2.1, 2.7)
    metal = (0.42, 0.43, 0.44)
    if kind == "gantry":
        height = 3.2
        for x in (-0.6, 0.6):
            mesh.cylinder(POLE, (x, 0.05, 0), (x, 0.05, height), 0.06, 0.06, metal)
    else:
        mesh.cylinder(POLE, (0, 0.04, 0), (0, 0.04, height + 0.3), 0.035, 0.035, metal, 0.5, 7)
    turn = rng.normal(0, 0.15) + (np.pi if rng.random() < 0.18 else 0)
    scale = rng.uniform(0.95, 1.25)
    panel(mesh, rng, kind, height, turn, scale)
    if rng.random() < 0.35 and kind != "gantry":
        second = "round" if kind == "direction" else pick(rng, world.signs[:-1])
        panel(mesh, rng, second, height - 0.72 * scale, turn, scale * 0.9)


def panel(mesh, rng, kind, height, turn, scale):
    """A sign without its pole."""
    with mesh.at((0, 0, height), turn):
        mesh.box(TRAFFIC_SIGN, (0, 0.02, 0), (0.04, 0.02, 0.3), grey(0.4))
        draw = PANELS.get(kind)
        if draw:
            draw(Panel(mesh, scale), rng)
        else:
            _board(mesh, rng, kind, scale)


class Panel:
    """Draws the layers of a sign, each a little nearer to the viewer."""

    def __init__(self, mesh, scale):
        self.mesh, self.scale = mesh, scale

    def polygon(self, radius, color, depth, sides, turn=0.0, roughness=0.4):
        """A regular polygon, at `depth` behind (+) or before (-) the sign's plane."""
        radius *= self.scale
        self.mesh.disc(
            TRAFFIC_SIGN, (0, depth, 0), FACING, radius, color, roughness, sides, turn=turn
        )

    def back(self, radius, sides, turn=0.0):
        """The bare rear side."""
        self.polygon(radius, METAL, 0.012, sides, turn, 0.5)

    def bar(self, x, z, width, height, color, depth=-0.016):
        """A rectangle."""
        s = self.scale
        size = (width * s, 0.004, height * s)
        self.mesh.box(TRAFFIC_SIGN, (x * s, depth, z * s), size, color, 0.4)


def _mandatory(p, rng):
    p.back(0.32, 20)
    p.polygon(0.32, WHITE, 0, 20)
    p.polygon(0.30, BLUE, -0.006, 20)
    p.bar(0, 0, 0.07, 0.34, WHITE)
    p.bar(0.06, 0.1, 0.16, 0.07, WHITE)


def _no_entry(p, rng):
    p.back(0.32, 20)
    p.polygon(0.32, RED, 0, 20)
    p.bar(0, 0, 0.46, 0.11, WHITE, -0.012)


def _round(p, rng):
    """A speed limit or a prohibition."""
    p.back(0.32, 20)
    p.polygon(0.32, RED, 0, 20)
    p.polygon(0.245, WHITE if rng.random() < 0.7 else BLUE, -0.006, 20)
    for x in (-0.07, 0.07):
        p.bar(x, 0, 0.09, 0.2, BLACK)
        place, size = (x * p.scale, -0.02, 0.01), (0.03 * p.scale, 0.004, 0.08 * p.scale)
        p.mesh.box(TRAFFIC_SIGN, place, size, WHITE, 0.4)


def _warning(p, rng):
    p.back(0.42, 3, UPWARD)
    p.polygon(0.42, RED, 0, 3, UPWARD)
    p.polygon(0.29, WHITE, -0.006, 3, UPWARD)
    size = (0.06 * p.scale, 0.004, 0.18 * p.scale)
    p.mesh.box(TRAFFIC_SIGN, (0, -0.016, -0.02), size, BLACK, 0.4)


def _yield(p, rng):
    down = UPWARD + np.pi
    p.back(0.42, 3, down)
    p.polygon(0.42, RED, 0, 3, down)
    p.polygon(0.29, WHITE, -0.006, 3, down)


def _stop(p, rng):
    p.back(0.38, 8, np.pi / 8)
    p.polygon(0.38, WHITE, 0, 8, np.pi / 8)
    p.polygon(0.355, RED, -0.006, 8, np.pi / 8)
    p.bar(0, 0, 0.42, 0.14, WHITE)


def _diamond(p, rng):
    p.back(0.45, 4, UPWARD)
    p.polygon(0.45, (0.05,) * 3, 0, 4, UPWARD)
    p.polygon(0.42, YELLOW, -0.006, 4, UPWARD)
    p.bar(0, 0, 0.07, 0.32, BLACK)


def _priority(p, rng):
    p.back(0.40, 4, UPWARD)
    p.polygon(0.40, WHITE, 0, 4, UPWARD)
    p.polygon(0.27, YELLOW, -0.006, 4, UPWARD)


PANELS = {
    "mandatory": _mandatory,
    "no entry": _no_entry,
    "round": _round,
    "warning": _warning,
    "yield": _yield,
    "stop": _stop,
    "diamond": _diamond,
    "priority": _priority,
}


def _board(mesh, rng, kind, scale):
    """A rectangular sign; the numbers of every size are drawn, whichever is used."""
    sizes = {
        "parking": (0.5, 0.5, BLUE),
        "crossing": (0.55, 0.55, BLUE),
        "american limit": (0.5, 0.65, WHITE),
        "direction": (rng.uniform(1.0, 2.0), 0.45, one_of(rng, [BLUE, GREEN, WHITE])),
        "no parking": (0.32, 0.45, WHITE),
        "gantry": (rng.uniform(1.6, 3.0), rng.uniform(1.0, 1.8), one_of(rng, [GREEN, BLUE])),
    }
    width, height, color = sizes[kind]
    width, height = width * scale, height * scale
    mesh.box(TRAFFIC_SIGN, (0, 0.0, 0), (width, 0.02, height), color, 0.4)
    ink = WHITE if np.mean(color) < 0.5 else BLACK

    def bar(x, z, bar_width, bar_height, bar_color, depth=-0.013):
        size = (bar_width, 0.004, bar_height)
        mesh.box(TRAFFIC_SIGN, (x, depth, z), size, bar_color, 0.4)

    if kind == "parking":  # the letter P
        bar(-0.06, 0, 0.07, 0.34, ink)
        bar(0.05, 0.08, 0.17, 0.19, ink)
        bar(0.04, 0.08, 0.07, 0.07, color, -0.016)
    elif kind == "crossing":
        center = (0, -0.012, -0.03)
        mesh.disc(TRAFFIC_SIGN, center, FACING, 0.3, WHITE, 0.4, 3, turn=UPWARD)
        bar(0, -0.04, 0.06, 0.2, BLACK, -0.016)
    else:  # lines of writing
        for line in range(max(1, int(height / 0.3))):
            x, z = rng.uniform(-0.05, 0.05), height / 2 - 0.16 - 0.3 * line
            bar(x, z, width * rng.uniform(0.5, 0.85), 0.11, ink)
