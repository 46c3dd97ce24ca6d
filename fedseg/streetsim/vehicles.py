"""Cars, trucks, buses and trams: side profiles extruded across their width."""

import math
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .camera import project
from .labels import BUS, CAR, TRAIN, TRUCK
from .paint import Canvas, fill_placed
from .texture import Colour, mixed, scaled

GLASS: Colour = (38, 44, 52)
TYRE: Colour = (22, 22, 24)
SKY: Colour = (-1, -1, -1)  # stands for glass that mirrors the sky
_RING = [(math.cos(k * math.pi / 5), math.sin(k * math.pi / 5)) for k in range(10)]


class Paint(NamedTuple):
    """What a vehicle's own colours make of a face."""

    second: bool  # of the two colours
    factor: float
    lit: bool = False  # as bright as the side that faces the camera


class Body(NamedTuple):
    """A vehicle by its side: metres forward of its middle and up from the road."""

    label: int
    width: float
    profile: tuple[tuple[float, float], ...]  # from the low rear over the roof to the low front
    glass: tuple[int, ...]  # edges of the profile (0 is the rear) that are windows
    windows: tuple[tuple[float, float, float, float], ...]  # side: rear, front, sill, top
    wheels: tuple[float, ...]
    radius: float
    belt: float  # height from which the cabin leans in
    tail: float = 0.0  # share of the rear that is window, from the top
    face: float = 0.0  # share of the front that is window, from the top


def _row(rear: float, front: float, count: int, sill: float, top: float) -> tuple:
    edges = np.linspace(rear, front, count + 1)
    gap = 0.08 * (edges[1] - edges[0])
    return tuple((a + gap, b - gap, sill, top) for a, b in pairwise(edges.tolist()))


BODIES: dict[str, tuple[Body, ...]] = {
    "sedan": (Body(
        CAR, 1.8,
        ((-2.25, 0.3), (-2.25, 0.95), (-1.7, 1.0), (-1.1, 1.43), (0.35, 1.43), (1.15, 0.98),
         (2.1, 0.82), (2.25, 0.3)),
        glass=(2, 4), windows=((-1.2, -0.35, 0.98, 1.34), (-0.25, 0.6, 0.98, 1.34)),
        wheels=(-1.35, 1.35), radius=0.33, belt=0.95,
    ),),
    "hatch": (Body(
        CAR, 1.75,
        ((-1.9, 0.3), (-1.95, 0.95), (-1.6, 1.48), (0.3, 1.5), (1.1, 1.0), (1.85, 0.85),
         (1.95, 0.3)),
        glass=(1, 3), windows=((-1.45, -0.45, 0.98, 1.38), (-0.35, 0.55, 0.98, 1.38)),
        wheels=(-1.2, 1.2), radius=0.32, belt=0.95,
    ),),
    "suv": (Body(
        CAR, 1.95,
        ((-2.3, 0.42), (-2.35, 1.1), (-2.1, 1.75), (0.5, 1.8), (1.2, 1.2), (2.2, 1.08),
         (2.35, 0.42)),
        glass=(1, 3), windows=_row(-1.95, 0.6, 3, 1.18, 1.66),
        wheels=(-1.45, 1.45), radius=0.4, belt=1.1,
    ),),
    "van": (Body(
        CAR, 2.0,
        ((-2.6, 0.35), (-2.65, 1.3), (-2.55, 2.2), (1.2, 2.25), (2.0, 1.3), (2.6, 1.05),
         (2.65, 0.35)),
        glass=(3,), windows=((0.3, 1.2, 1.25, 1.85),),
        wheels=(-1.7, 1.75), radius=0.36, belt=1.2, tail=0.35,
    ),),
    "bus": (Body(
        BUS, 2.55, ((-5.8, 0.35), (-5.8, 3.1), (5.7, 3.1), (5.8, 0.35)),
        glass=(), windows=(*_row(-5.6, 4.6, 6, 1.35, 2.6), (4.75, 5.5, 0.5, 2.6)),
        wheels=(-3.6, 3.6), radius=0.5, belt=9.0, tail=0.4, face=0.62,
    ),),
    "double": (Body(
        BUS, 2.55, ((-5.3, 0.35), (-5.3, 4.3), (5.2, 4.3), (5.3, 0.35)),
        glass=(), windows=_row(-5.1, 4.2, 6, 1.3, 2.2) + _row(-5.1, 5.0, 7, 2.9, 3.8),
        wheels=(-3.4, 3.5), radius=0.5, belt=9.0, tail=0.3, face=0.7,
    ),),
    "tram": (Body(
        TRAIN, 2.5,
        ((-13, 0.3), (-13.1, 1.3), (-12.6, 3.4), (12.6, 3.4), (13.1, 1.3), (13, 0.3)),
        glass=(1, 3),
        windows=_row(-12, -4.2, 5, 1.3, 2.7) + _row(-3.6, 3.6, 4, 1.3, 2.7)
        + _row(4.2, 12, 5, 1.3, 2.7),
        wheels=(), radius=0.4, belt=9.0,
    ),),
    "truck": (
        Body(TRUCK, 2.5, ((-4.2, 0.9), (-4.2, 3.6), (1.6, 3.6), (1.6, 0.9)), glass=(), windows=(),
             wheels=(-3.1, -1.9), radius=0.5, belt=9.0),
        Body(TRUCK, 2.4, ((1.8, 0.5), (1.8, 2.7), (3.2, 2.8), (3.65, 1.6), (3.75, 0.5)), glass=(2,),
             windows=((2.3, 3.2, 1.6, 2.4),), wheels=(2.8,), radius=0.5, belt=9.0),
    ),
    "tipper": (
        Body(TRUCK, 2.4, ((-3.2, 0.9), (-3.3, 2.1), (0.6, 2.1), (0.6, 0.9)), glass=(), windows=(),
             wheels=(-2.2,), radius=0.48, belt=9.0),
        Body(TRUCK, 2.3,
             ((0.8, 0.5), (0.8, 2.5), (1.9, 2.5), (2.3, 1.5), (2.9, 1.3), (3.0, 0.5)), glass=(2,),
             windows=((1.1, 1.95, 1.5, 2.25),), wheels=(2.0,), radius=0.48, belt=9.0),
    ),
}  # fmt: skip
LENGTHS = {  # metres from end to end
    kind: max(u for body in bodies for u, _ in body.profile)
    - min(u for body in bodies for u, _ in body.profile)
    for kind, bodies in BODIES.items()
}


def footprint(kind: str, t: float, s: float, heading: float, grow: float) -> list:
    """The rectangle a vehicle covers on the road, `grow` metres larger on each side."""
    half, side = LENGTHS[kind] / 2 + grow, BODIES[kind][0].width / 2 + grow
    corners = [(-half, 0, -side), (-half, 0, side), (half, 0, side), (half, 0, -side)]
    return _placed(np.array(corners), t, s, heading).tolist()


def _placed(local: np.ndarray, t: float, s: float, heading: float) -> np.ndarray:
    """Street points of local ones (forward, up, right)."""
    c, n = math.cos(heading), math.sin(heading)
    turn = np.array([(n, 0, c), (0, 1, 0), (c, 0, -n)])
    return local @ turn + (t, 0, s)


def vehicle(
    canvas: Canvas,
    kind: str,
    t: float,
    s: float,
    heading: float,
    colour: Colour,
    second: Colour,
    light: tuple[float, float],
) -> None:
    """Paints a vehicle whose middle stands at (t, s).

    Heading: radians, 0 drives away from the camera, pi towards it. `light` is the brightness of
    its left and right side. `second` colours cargo, stripes and trims.
    """
    bodies = BODIES[kind]
    away = math.cos(heading) * s + math.sin(heading) * t > 0
    right = -t * math.cos(heading) + s * math.sin(heading) > 0  # we see its right side
    near = 1.0 if right else -1.0
    # What is far is too small for details.
    corners, pieces = _model(kind, near, away, s < 35, s < 55)
    sky, lit = mixed(GLASS, canvas.haze, 0.35), light[right]

    def tone(paint: Paint | Colour) -> Colour:
        if not isinstance(paint, Paint):
            return sky if paint is SKY else paint
        return scaled(second if paint.second else colour, paint.factor * (lit if paint.lit else 1))

    pieces = [(count, tone(paint), label) for count, paint, label in pieces]
    placed = _placed(corners, t, s, heading)
    fill_placed(canvas, project(canvas.camera, placed), pieces, s)
    if canvas.night:
        _lamps(canvas, bodies[0 if away else -1], away, t, s, heading)


@lru_cache(maxsize=256)
def _model(kind: str, near: float, away: bool, side: bool, end: bool) -> tuple[np.ndarray, list]:
    """A vehicle's polygons: all corners (forward, up, right), then count, paint, label of each."""
    bodies, shapes = BODIES[kind], []
    for body in bodies[::-1] if away else bodies:
        cargo = len(bodies) > 1 and body is bodies[0]
        _shell(shapes, body, cargo, near, away)
        if side:
            _side(shapes, body, cargo, near)
        if end:
            _end(shapes, body, away)
    if kind in ("bus", "double", "tram"):
        low, high = (0.75, 1.15) if kind != "double" else (2.35, 2.75)
        reach, v = LENGTHS[kind] / 2, near * bodies[0].width / 2
        stripe = [(-reach, low, v), (reach, low, v), (reach, high, v), (-reach, high, v)]
        shapes.append((stripe, Paint(True, 1.0), bodies[0].label))
    corners = np.array([corner for outline, _, _ in shapes for corner in outline])
    return corners, [(len(outline), paint, label) for outline, paint, label in shapes]


def _shell(shapes, body: Body, cargo: bool, near: float, away: bool) -> None:
    """Underside, far side, the faces across the vehicle and the near side."""
    half, label, profile = body.width / 2, body.label, body.profile
    top = max(y for _, y in profile)
    roof = max(top - body.belt, 0.1)
    lean = [half * (1 - 0.2 * max(0.0, y - body.belt) / roof) for _, y in profile]
    mine = [(u, y, near * v) for (u, y), v in zip(profile, lean, strict=True)]
    other = [(u, y, -near * v) for (u, y), v in zip(profile, lean, strict=True)]
    rear, front, low = profile[0][0] + 0.15, profile[-1][0] - 0.15, profile[0][1] + 0.1
    end, v = rear if away else front, half * 0.95
    shapes.append(([(end, 0.08, -v), (end, 0.08, v), (end, low, v), (end, low, -v)], TYRE, label))
    v *= near
    shapes.append(
        ([(rear, 0.08, v), (front, 0.08, v), (front, low, v), (rear, low, v)], TYRE, label)
    )
    shapes.append((other, Paint(cargo, 0.5), label))
    edges = range(len(profile) - 1)
    for i in reversed(edges) if away else edges:
        (u0, y0), (u1, y1) = profile[i], profile[i + 1]
        flat = abs(y1 - y0) < 0.45 * abs(u1 - u0)
        tone = Paint(cargo, 1.15 if flat else 0.8)
        if i in body.glass:
            tone = GLASS if away and not flat else SKY
        shapes.append(([mine[i], mine[i + 1], other[i + 1], other[i]], tone, label))
    shapes.append((mine, Paint(cargo, 1.0, True), label))


def _side(shapes, body: Body, cargo: bool, near: float) -> None:
    """Sill, windows and wheels of the side that faces the camera."""
    half, label, profile = near * body.width / 2, body.label, body.profile
    (u0, y), (u1, _) = profile[0], profile[-1]
    top = max(y for _, y in profile)
    sill = [(u0, y, half), (u1, y, half), (u1, y + 0.14, half), (u0, y + 0.14, half)]
    shapes.append((sill, Paint(cargo, 0.45, True), label))
    slope = 0.18 if top < 2 else 0.0
    for rear, front, low, high in body.windows:
        leant = half * (1 - 0.2 * max(high - body.belt, 0) / max(top - body.belt, 0.1))
        pane = [(rear, low, half), (front, low, half)]
        pane += [(front - slope, high, leant), (rear + slope, high, leant)]
        shapes.append((pane, GLASS, label))
    for wheel in body.wheels:
        for radius, tone in ((body.radius, TYRE), (body.radius * 0.55, (120, 122, 126))):
            ring = [(wheel + radius * c, body.radius + radius * n, half * 1.01) for c, n in _RING]
            shapes.append((ring, tone, label))


def _end(shapes, body: Body, away: bool) -> None:
    """Lights, plate and windows of the end that faces the camera."""
    end, beyond = (0, 1) if away else (-1, -2)
    (u, low), high = body.profile[end], body.profile[beyond][1]
    half, tall = body.width / 2, high - low

    def patch(left: float, right: float, bottom: float, top: float, colour: Colour) -> None:
        quad = [(u, bottom, left), (u, bottom, right), (u, top, right), (u, top, left)]
        shapes.append((quad, colour, body.label))

    share = body.tail if away else body.face
    if share:
        patch(-half * 0.88, half * 0.88, high - share * tall, high - 0.12, GLASS)
    base = _lamp_height(low, tall)
    patch(-half * 0.95, half * 0.95, low, low + 0.12, (40, 40, 42))
    if not away:
        patch(-half * 0.5, half * 0.5, base - 0.05, base + 0.12, (30, 30, 32))
    lamp = (190, 25, 20) if away else (235, 235, 225)
    patch(-half * 0.96, -half * 0.66, base, base + 0.17, lamp)
    patch(half * 0.66, half * 0.96, base, base + 0.17, lamp)
    patch(-0.26, 0.26, base - 0.12, base, (225, 222, 200))


def _lamp_height(low: float, tall: float) -> float:
    return low + (0.45 if tall < 1 else 0.12) * min(tall, 1.4)


def _lamps(canvas: Canvas, body: Body, away: bool, t: float, s: float, heading: float) -> None:
    """Notes the lights that glow at night."""
    end, beyond = (0, 1) if away else (-1, -2)
    (u, low), high = body.profile[end], body.profile[beyond][1]
    y, v = _lamp_height(low, high - low) + 0.08, body.width * 0.4
    points = _placed(np.array([(u, y, -v), (u, y, v)]), t, s, heading)
    radius = (0.25 if away else 0.6) * canvas.camera.focal / max(s, 3.0)
    colour = (255, 40, 25) if away else (255, 240, 205)
    for x, y in project(canvas.camera, points).tolist():
        canvas.glows.append((x, y, radius, colour))
