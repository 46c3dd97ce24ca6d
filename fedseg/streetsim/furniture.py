"""What stands along a street: trees, lamps, traffic lights, signs, bollards."""

import math

import numpy as np

from .camera import frame
from .labels import LIGHT, POLE, SIGN, VEGETATION
from .paint import Canvas, figure, sprite
from .texture import Colour, crown, mixed, ramp, scaled

VARIANTS = 8  # sprites of each kind of plant
_OCTAGON = [(math.cos(k * math.pi / 4 + 0.39), math.sin(k * math.pi / 4 + 0.39)) for k in range(8)]


def _bar(canvas: Canvas, s: float, a, b, width: float) -> list:
    """A straight bar between two points in metres, at least a canvas pixel and a half wide."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    half = max(width, 1.5 * s / canvas.camera.focal) / 2 / max(math.hypot(dx, dy), 1e-6)
    dx, dy = -dy * half, dx * half
    return [
        (a[0] - dx, a[1] - dy),
        (a[0] + dx, a[1] + dy),
        (b[0] + dx, b[1] + dy),
        (b[0] - dx, b[1] - dy),
    ]


def plant(
    canvas: Canvas,
    kind: str,
    t: float,
    s: float,
    tall: float,
    wide: float,
    leaves: Colour,
    variant: int,
) -> None:
    """A tree or bush, `tall` x `wide` metres; `variant` 0..15 chooses sprite and mirroring."""
    trunk = {"bush": 0.0, "cone": 0.1, "bare": 0.02}.get(kind, 0.3 if kind == "round" else 0.75)
    if trunk:
        brown, girth = (88, 72, 58), 0.3 if kind == "palm" else 0.035 * tall
        high = min(trunk + 0.15, 0.9) * tall
        low = [(-girth, 0), (girth, 0), (girth * 0.6, high), (-girth * 0.6, high)]
        lit = [(-girth * 0.2, 0), *low[1:3], (-girth * 0.1, high)]
        shapes = [(low, brown, VEGETATION), (lit, scaled(brown, 1.3), VEGETATION)]
        figure(canvas, t, s, shapes if s < 25 else shapes[:1])
    dark, light = (0.4, 1.3) if kind == "bare" else (0.22, 1.65)
    lost = canvas.fading(s)
    tone = mixed((0, 0, 0), canvas.haze, lost)
    colours = ramp(*(
        [k * (1 - lost) * c + h for c, h in zip(leaves, tone, strict=True)] for k in (dark, light)
    ))  # fmt: skip
    x, y, scale = frame(canvas.camera, t, s)
    top, low = y - scale * tall, y - scale * tall * trunk
    if kind == "palm":
        low = top + scale * wide * 0.8
        top -= scale * wide * 0.1
    half = scale * wide / 2
    shape = crown(kind, variant % VARIANTS)
    sprite(canvas, shape, colours, (x - half, top, x + half, low), VEGETATION, variant >= VARIANTS)


def lamp(canvas: Canvas, t: float, s: float, tall: float, arm: float, colour: Colour) -> None:
    """A street lamp; `arm` metres reach to the right (negative: left, 0: a lantern on top)."""
    head = (arm, tall + 0.25 * abs(arm) ** 0.5)
    bars = [((0, 0), (0, tall), 0.14, colour), ((0, 0), (0, 0.9), 0.24, scaled(colour, 0.85))]
    if arm:
        bars += [((0, tall), head, 0.1, colour)]
        bars += [((arm * 0.8, head[1]), (arm * 1.25, head[1]), 0.2, colour)]
    else:
        bars += [((0, tall), (0, tall + 0.6), 0.4, (205, 200, 180))]
    figure(canvas, t, s, [(_bar(canvas, s, a, b, width), tone, POLE) for a, b, width, tone in bars])
    if canvas.night:
        _glow(canvas, t, s, head, 0.8, (255, 205, 130))


def _glow(canvas: Canvas, t: float, s: float, at, radius: float, colour: Colour) -> None:
    x, y, scale = frame(canvas.camera, t, s)
    canvas.glows.append((x + at[0] * scale, y - at[1] * scale, radius * scale, colour))


def traffic_light(canvas: Canvas, t: float, s: float, arm: float, rng: np.random.Generator) -> None:
    """A signal on a pole; with `arm` (metres, signed) two more hang over the road."""
    grey, tall = (70, 72, 74), 5.8 if arm else 3.3
    shapes = [(_bar(canvas, s, (0, 0), (0, tall), 0.16), grey, POLE)]
    heads = [(0.0, 2.9)]
    if arm:
        shapes.append((_bar(canvas, s, (0, tall), (arm, tall + 0.15), 0.12), grey, POLE))
        heads += [(arm * 0.95, tall - 0.3), (arm * 0.5, tall - 0.3)]
    on = int(rng.integers(3))
    case = (30, 32, 32) if rng.random() < 0.7 else (190, 150, 40)
    for x, y in heads:
        shapes.append((_bar(canvas, s, (x, y - 0.6), (x, y + 0.6), 0.46), case, LIGHT))
        for i, colour in enumerate(((255, 50, 35), (255, 190, 40), (60, 255, 130))):
            height = y + 0.36 * (1 - i)
            disc = [(x + 0.16 * c, height + 0.16 * n) for c, n in _OCTAGON]
            shapes.append((disc, colour if i == on else scaled(colour, 0.25), LIGHT))
            if i == on and canvas.night:
                _glow(canvas, t, s, (x, height), 0.5, colour)
    figure(canvas, t, s, shapes)


def sign(canvas: Canvas, t: float, s: float, rng: np.random.Generator) -> None:
    """One or two traffic signs on a pole."""
    tall = float(rng.uniform(2.3, 3.1))
    shapes = [(_bar(canvas, s, (0, 0), (0, tall), 0.08), (140, 142, 145), POLE)]
    for y in [tall] if rng.random() < 0.6 else [tall, tall - 0.85]:
        size = float(rng.uniform(0.32, 0.5))
        layers = PLATES[rng.integers(len(PLATES))]
        if rng.random() < 0.15:
            layers = ((layers[0][0], (135, 138, 140)),)  # its back
        for outline, colour in layers:
            shapes.append(([(p * size, y + q * size) for p, q in outline], colour, SIGN))
    figure(canvas, t, s, shapes)


def _rectangle(wide: float, tall: float) -> list:
    return [(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall)]


def _resized(outline: list, factor: float) -> list:
    return [(x * factor, y * factor) for x, y in outline]


_TRIANGLE = [(0, 1.1), (1.1, -0.8), (-1.1, -0.8)]
_RED, _WHITE, _BLUE = (200, 30, 35), (238, 238, 235), (25, 70, 165)
PLATES = (  # layers of outlines of about a metre's radius, the lowest first
    ((_OCTAGON, _RED), (_resized(_OCTAGON, 0.7), _WHITE)),
    ((_TRIANGLE, _RED), (_resized(_TRIANGLE, 0.6), _WHITE)),
    ((_OCTAGON, _BLUE), (_rectangle(0.2, 0.5), _WHITE)),
    ((_rectangle(0.8, 0.9), _BLUE), (_rectangle(0.45, 0.45), _WHITE)),
    ((_rectangle(0.8, 1.1), _WHITE), (_rectangle(0.5, 0.2), (30, 30, 30))),
    (([(0, -1), (1, 0), (0, 1), (-1, 0)], (240, 190, 30)),),
    ((_rectangle(1.8, 0.8), (20, 105, 70)), (_rectangle(1.4, 0.15), _WHITE)),
)


def bollard(canvas: Canvas, t: float, s: float, tall: float, colour: Colour) -> None:
    """A post at the kerb."""
    post = _bar(canvas, s, (0, 0), (0, tall), 0.14)
    band = _bar(canvas, s, (0, tall * 0.8), (0, tall * 0.9), 0.15)
    figure(canvas, t, s, [(post, colour, POLE), (band, (220, 220, 215), POLE)])
