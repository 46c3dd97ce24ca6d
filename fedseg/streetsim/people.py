"""People, bicycles, motorcycles and their riders: flat figures that face the camera."""

import math

import numpy as np

from .labels import BICYCLE, MOTORCYCLE, PERSON, RIDER
from .paint import Canvas, figure
from .texture import Colour, scaled

SKINS = ((236, 196, 168), (205, 155, 120), (150, 103, 74), (92, 62, 46))
HAIR = ((28, 24, 22), (70, 48, 32), (150, 120, 80), (120, 118, 116))
_CIRCLE = [(math.cos(k * math.pi / 5), math.sin(k * math.pi / 5)) for k in range(10)]


def _limb(a: tuple[float, float], b: tuple[float, float], width: float) -> list:
    """A thick line as a polygon."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    scale = width / 2 / max(math.hypot(dx, dy), 1e-6)
    dx, dy = dx * scale, dy * scale
    return [
        (a[0] - dy - dx, a[1] + dx - dy),
        (a[0] + dy - dx, a[1] - dx - dy),
        (b[0] + dy + dx, b[1] - dx + dy),
        (b[0] - dy + dx, b[1] + dx + dy),
    ]


def _disc(x: float, y: float, radius: float, squeeze: float = 1.0) -> list:
    return [(x + c * radius * squeeze, y + n * radius) for c, n in _CIRCLE]


def person(canvas: Canvas, t: float, s: float, tall: float, rng: np.random.Generator) -> None:
    """A pedestrian `tall` metres tall, walking or standing."""
    top, legs = _clothes(rng), _clothes(rng, dark=True)
    skin, hair = SKINS[rng.integers(4)], HAIR[rng.integers(4)]
    stride, swing, wide = rng.uniform((0.02, -0.08, 0.85), (0.13, 0.08, 1.2)).tolist()
    hem = (0.46, 0.46, 0.36, 0.28)[rng.integers(4)]
    turn = 1 if rng.random() < 0.5 else -1
    shoe = scaled(legs, 0.5)
    arm, back = 0.1 * wide, 0.13 * wide + swing
    torso = [(-arm, 0.8), (-0.05, 0.84), (0.05, 0.84), (arm, 0.8), (0.95 * arm, hem)]
    parts = [
        (_limb((0.03, 0.48), (stride, 0.03), 0.085 * wide), scaled(legs, 0.8)),
        (_limb((-0.03, 0.48), (-stride, 0.03), 0.09 * wide), legs),
        (_limb((stride, 0.015), (stride + 0.03 * turn, 0.015), 0.035), shoe),
        (_limb((-stride, 0.015), (-stride + 0.03 * turn, 0.015), 0.035), shoe),
        (_limb((arm, 0.78), (0.13 * wide + swing, 0.5), 0.055), scaled(top, 0.72)),
        ([*torso, (-0.95 * arm, hem)], top),
        (_limb((-arm, 0.78), (-back, 0.5), 0.055), scaled(top, 0.85)),
        (_limb((0, 0.84), (0, 0.87), 0.05), skin),
        (_disc(0, 0.925, 0.068, 0.8), hair),
        (_disc(0.015 * turn, 0.912, 0.05, 0.8), skin if rng.random() < 0.6 else hair),
    ]
    if s > 25:  # too small for shoes, neck and the far arm
        parts = [parts[0], parts[1], parts[5], parts[6], parts[8], parts[9]]
    elif rng.random() < 0.35:
        bag = _limb((0.13 * turn, 0.7), (0.13 * turn, 0.55), 0.1)
        parts.insert(6 if rng.random() < 0.5 else 4, (bag, _clothes(rng)))
    figure(canvas, t, s, [([(x * tall, y * tall) for x, y in shape], colour, PERSON)
                          for shape, colour in parts])  # fmt: skip


def _clothes(rng: np.random.Generator, dark: bool = False) -> Colour:
    if dark or rng.random() < 0.5:
        grey = rng.uniform(18, 90)
        return tuple((grey + rng.uniform(-10, 18, 3)).tolist())
    return tuple(rng.uniform(30, 235, 3).tolist())


def two_wheeler(
    canvas: Canvas,
    kind: str,
    t: float,
    s: float,
    heading: float,
    ridden: bool,
    rng: np.random.Generator,
) -> None:
    """A bicycle or motorcycle, `ridden` or parked; heading 0 drives away from the camera."""
    long = max(abs(math.sin(heading)), 0.14) * (1 if math.sin(heading) >= 0 else -1)
    motor = kind == "motorcycle"
    label = MOTORCYCLE if motor else BICYCLE
    paint = tuple(rng.uniform(15, 200, 3).tolist()) if rng.random() < 0.7 else (35, 35, 38)
    shapes = _wheels(long, motor)
    if motor:
        shapes += [
            ([(-0.55, 0.55), (-0.2, 0.3), (0.35, 0.3), (0.5, 0.75), (0.1, 0.85)], paint),
            ([(-0.8, 0.75), (-0.6, 0.55), (0.1, 0.6), (0.05, 0.82), (-0.4, 0.78)], (30, 30, 30)),
            (_limb((0.68, 0.3), (0.42, 1.0), 0.09), (90, 92, 95)),
            ([(0.35, 0.75), (0.62, 0.7), (0.6, 1.05), (0.4, 1.1)], paint),
            (_limb((-0.4, 0.3), (0.3, 0.32), 0.22), (60, 60, 62)),
        ]
    else:
        shapes += [
            (_limb((-0.52, 0.34), (-0.15, 0.8), 0.05), paint),
            (_limb((-0.15, 0.8), (0.38, 0.82), 0.05), paint),
            (_limb((-0.1, 0.3), (0.38, 0.78), 0.06), paint),
            (_limb((-0.15, 0.85), (-0.1, 0.3), 0.05), paint),
            (_limb((0.52, 0.34), (0.36, 1.0), 0.05), paint),
            (_limb((-0.3, 0.9), (-0.02, 0.9), 0.07), (25, 25, 25)),
            (_limb((0.3, 1.02), (0.45, 1.0), 0.06), (30, 30, 30)),
        ]
    if abs(long) < 0.5:  # seen from an end: handlebar and body have width
        bar = (0.38 if motor else 0.28) / abs(long)
        shapes.append((_limb((-bar, 1.0), (bar, 1.0), 0.06), (40, 40, 42)))
        if motor:
            low, high = 0.2 / abs(long), 0.17 / abs(long)
            shapes.append(([(-low, 0.3), (low, 0.3), (high, 0.85), (-high, 0.85)], paint))
            lamp = (190, 30, 25) if math.cos(heading) > 0 else (240, 240, 225)
            shapes.append((_disc(0, 0.75, 0.09, 1 / abs(long)), lamp))
    parts = [([(x * long, y) for x, y in shape], tone, label) for shape, tone in shapes]
    if ridden:
        parts += _rider(long, motor, rng)
    figure(canvas, t, s, parts)


def _wheels(long: float, motor: bool) -> list:
    """Two wheels; a bicycle's are see-through, which a greyish disc stands for."""
    radius, base, rim = (0.3, 0.68, 0.55) if motor else (0.34, 0.52, 0.82)
    narrow = max(abs(long), 0.2) / abs(long)
    tone = (110, 112, 115) if motor else (112, 108, 104)
    return [
        (_disc(x, radius, size, narrow), colour)
        for x in (-base, base)
        for size, colour in ((radius, (24, 24, 26)), (radius * rim, tone))
    ]


def _rider(long: float, motor: bool, rng: np.random.Generator) -> list:
    top, legs = _clothes(rng), _clothes(rng, dark=True)
    skin, wide = SKINS[rng.integers(4)], 1 - min(abs(long), 1)
    seat = 0.8 if motor else 0.92
    spread, pedal = 0.11 + 0.1 * wide, float(rng.uniform(-0.12, 0.12))
    hip, neck = (-0.2 * long, seat), (0.12 * long, seat + 0.56)
    hand = (0.42 * long, 1.02)
    parts = []
    for sign in (-1, 1):
        aside = sign * spread * wide
        knee = (0.2 * long + aside, 0.62 + sign * pedal)
        foot = (0.02 * long + aside, 0.26 + sign * pedal)
        shoulder = (neck[0] + aside, neck[1] - 0.1)
        parts.append((_limb((hip[0] + aside * 0.6, seat), knee, 0.16), legs))
        parts.append((_limb(knee, foot, 0.12), scaled(legs, 0.85)))
        parts.append((_limb(shoulder, (hand[0] + aside * 2.4, hand[1]), 0.1), scaled(top, 0.8)))
    parts.append((_limb(hip, neck, 0.26 + 0.16 * wide), top))
    head = (neck[0] + 0.05 * long, neck[1] + 0.2)
    parts.append((_disc(*head, 0.12), skin))
    covered = motor or rng.random() < 0.6
    cap = scaled(_clothes(rng), 1.2) if covered else HAIR[rng.integers(4)]
    parts.append((_disc(head[0], head[1] + 0.04, 0.135 if covered else 0.115), cap))
    return [(shape, colour, RIDER) for shape, colour in parts]
