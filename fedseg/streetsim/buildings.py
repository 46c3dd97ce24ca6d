"""Houses, garden walls, fences, hedges, and what closes the view at the end of a street."""

from functools import partial
from typing import NamedTuple

import numpy as np

from .camera import FAR
from .furniture import plant
from .items import Scene, add
from .labels import BUILDING, FENCE, VEGETATION, WALL
from .paint import Canvas, fill_street, panel
from .texture import (
    BAYS,
    CELL,
    Colour,
    crown,
    facade,
    facade_colours,
    masonry,
    railing,
    ramp,
    scaled,
    shades,
)

STOREY = 3.1  # metres


class Lot(NamedTuple):
    """What a house is like."""

    wall: Colour
    storeys: int
    windows: str
    shop: bool
    pitched: bool
    deep: float  # metres
    rough: float
    sunny: float  # -1..1: how much the sun is on this side, behind the house


def _upright(t0: float, t1: float, s0: float, s1: float, low: float, high: float) -> np.ndarray:
    """Corners of an upright rectangle as `panel` wants them."""
    return np.array([(t0, high, s0), (t1, high, s1), (t1, low, s1), (t0, low, s0)])


def house(canvas: Canvas, front: float, side: int, s0: float, s1: float, lot: Lot, rng) -> None:
    """A house whose front stands at `front` from `s0` to `s1`, on the left (side -1) or right."""
    high = lot.storeys * STOREY * float(rng.uniform(0.92, 1.15)) + float(rng.uniform(0.3, 1.2))
    back, ridge = front + side * lot.deep, front + side * lot.deep / 2
    top = high + (float(rng.uniform(0.25, 0.5)) * lot.deep if lot.pitched else 0.0)
    bays = max(int((s1 - s0) / rng.uniform(2.4, 3.6)), 1)
    colours = facade_colours(lot.wall, canvas.night, rng)
    if lot.pitched:
        tile = scaled(((126, 72, 56), (84, 78, 76), (104, 84, 70))[rng.integers(3)], 0.9)
        slope = [(front, high, s0), (front, high, s1), (ridge, top, s1), (ridge, top, s0)]
        gable = [(front, high, s0), (ridge, top, s0), (back, high, s0)]
        shapes = [(slope, tile, BUILDING), (gable, scaled(lot.wall, 0.8), BUILDING)]
        fill_street(canvas, shapes, s0)
    end = _upright(*sorted((front, back)), s0, s0, 0, high)
    if s0 < 35 and rng.random() < 0.5:
        windows = lot.windows if rng.random() < 0.5 else "none"
        piece = _front(windows, False, lot.rough, lot.storeys, 3, s0, rng)
        panel(canvas, end, piece, colours * 0.75, BUILDING)
    else:
        fill_street(canvas, [(end.tolist(), scaled(lot.wall, 0.7), BUILDING)], s0)
    piece = _front(lot.windows, lot.shop, lot.rough, lot.storeys, bays, s0, rng)
    colours *= 0.95 - 0.28 * lot.sunny
    panel(canvas, _upright(front, front, s0, s1, 0, high), piece, colours, BUILDING)


def _front(windows, shop, rough, storeys, bays, depth, rng) -> np.ndarray:
    """The lowest storeys and some bays of a random facade, coarser when it is far."""
    whole = facade(windows, shop, rough, int(rng.integers(8)))
    bays = min(bays, BAYS)
    left = int(rng.integers(BAYS - bays + 1)) * CELL
    piece = whole[-storeys * CELL :, left : left + bays * CELL]
    step = 1 if depth < 45 else 2
    return np.ascontiguousarray(piece[::step, ::step])


def barrier(scene: Scene, outer: float, gaps, end: float, leaves: Colour, style, rng) -> None:
    """A wall, fence or hedge along the sidewalk's outer edge, in pieces."""
    kind = int(rng.choice([WALL, FENCE, VEGETATION], p=[0.36, 0.46, 0.18]))
    tall = float(rng.uniform(0.9, 2.4))
    tone = float(rng.uniform(0.8, 1.1))
    colour = scaled(style.walls[rng.integers(len(style.walls))], tone)
    if kind == FENCE:
        colour = ((48, 52, 50), (120, 92, 66), (168, 170, 172), (206, 204, 198))[rng.integers(4)]
    if kind == VEGETATION:
        colour = scaled(leaves, tone)
    s = float(rng.uniform(2.5, 14))
    stop = min(s + float(rng.uniform(15, 80)), end)
    while s < stop:
        piece = 6.0 * (1 + s / 40)
        if not any(a - 2 < s + piece / 2 < b + 2 for a, b in gaps):
            corners = _upright(outer, outer, s, s + piece, 0, tall)
            paint = partial(_piece, kind=kind, corners=corners, colour=colour, rng=rng)
            if not add(scene, outer, s, 0, paint, s + piece * 0.9):
                add(scene, outer, s + piece, 0, paint, s + piece * 0.9)
        s += piece


def _piece(canvas: Canvas, kind: int, corners: np.ndarray, colour: Colour, rng) -> None:
    if kind == WALL:
        panel(canvas, corners, masonry(int(rng.integers(8))), shades(colour), WALL)
    elif kind == FENCE:
        shows = railing(int(rng.integers(8)))
        panel(canvas, corners, np.full_like(shows, 105), shades(colour), FENCE, shows)
    else:
        shade = np.ascontiguousarray(crown("bush", int(rng.integers(8)))[60:84, :, 0])
        colours = ramp(scaled(colour, 0.3), scaled(colour, 1.5))
        panel(canvas, corners, shade, colours, VEGETATION)


def skyline(scene: Scene, style, end: float, rng, wall, leaves: Colour) -> None:
    """Closes the view: houses across the street where it ends, else far houses and trees."""
    near = end < FAR
    s = end + 11 if near else FAR * 0.75
    t, reach = (-70.0, 70.0) if near else (-110.0, 110.0)
    while t < reach:
        wide = float(rng.uniform(8, 18) if near else rng.uniform(18, 40))
        if rng.random() < 0.75:
            storeys = int(rng.integers(style.storeys[0], style.storeys[1] + 1))
            args = dict(storeys=storeys, windows="wide", colour=wall(), rough=style.rough, rng=rng)
            add(scene, t + wide / 2, s, wide / 2, partial(_across, t=t, wide=wide, s=s, **args))
        for _ in range(1 if near else 2):
            tall = float(rng.uniform(5, 11))
            at = t + float(rng.uniform(0, wide))
            add(scene, at, s - 1, tall, partial(
                plant, kind="round", t=at, s=s - 1, tall=tall, wide=tall,
                leaves=scaled(leaves, 0.9), variant=int(rng.integers(16))))  # fmt: skip
        t += wide * float(rng.uniform(0.9, 1.3))


def _across(canvas, t, wide, s, storeys, windows, colour, rough, rng) -> None:
    """A house that faces the camera."""
    piece = _front(windows, False, rough, storeys, int(np.clip(wide / 3, 2, BAYS)), s, rng)
    colours = facade_colours(colour, canvas.night, rng) * 0.9
    panel(canvas, _upright(t, t + wide, s, s, 0, storeys * STOREY + 0.5), piece, colours, BUILDING)
