"""The two sides of a street: sidewalk, houses or park, trees, furniture, people."""

import math
from functools import partial

import numpy as np

from .buildings import Lot, barrier, house
from .camera import NEAR
from .chance import along, one_of, pick
from .furniture import VARIANTS, bollard, lamp, plant, sign, traffic_light
from .items import Scene, add, box, in_view
from .labels import SIDEWALK
from .people import two_wheeler
from .road import Plan
from .styles import Style
from .texture import Colour, mixed, scaled
from .traffic import walker

_RING = [(math.cos(k * math.pi / 5), math.sin(k * math.pi / 5)) for k in range(10)]


def roadside(scene: Scene, style: Style, plan: Plan, side: int, ground, light, rng) -> None:
    """One side of the street (-1 left, 1 right).

    `ground` is label and colour of grass, then the colours of paving and leaves.
    """
    grass_label, grass, paving, leaves = ground
    kerb = plan.left if side < 0 else plan.right
    kind = pick(style.sides, rng)
    width = float(rng.uniform(*style.sidewalk))
    verge = float(rng.uniform(1.0, 2.5)) if rng.random() < style.verge else 0.0
    garden = float(rng.uniform(3, 9)) if kind == "houses" else 0.0
    front = kerb + side * (verge + width + garden)
    outer = kerb + side * (verge + width)

    def strip(a: float, b: float, label: int, colour: Colour) -> None:
        scene.ground.append((box(a, b, NEAR, plan.end), colour, label))

    strip(kerb, outer, SIDEWALK, paving)
    if verge:
        strip(kerb, kerb + side * verge, grass_label, scaled(grass, float(rng.uniform(0.85, 1.1))))
    if kind != "blocks":
        strip(outer, outer + side * 60, grass_label, grass)
    gaps = [(plan.junction[0] - 3, plan.junction[1] + 3)] if plan.junction else []
    for s0, s1 in _lots(style, kind, gaps, plan.end, rng):
        if kind == "park":
            break
        if light[1] and side == light[0]:
            edge = front - side * light[2] * 3 * style.storeys[0]
            scene.shadows.append(box(front, edge, s0, s1, 1))
        if not in_view(scene, front, s0, 1) and not in_view(scene, front, s1, 1):
            continue
        lot = Lot(
            wall=one_of(style.walls, rng, 0.15),
            storeys=int(rng.integers(style.storeys[0], style.storeys[1] + 1)),
            windows=pick(style.windows, rng),
            shop=kind == "blocks" and rng.random() < style.shops,
            pitched=rng.random() < style.roofs,
            deep=float(rng.uniform(8, 14)),
            rough=style.rough,
            sunny=light[1] * side * light[0],
        )
        paint = partial(house, front=front, side=side, s0=s0, s1=s1, lot=lot, rng=rng)
        scene.items.append((s1, paint))
    if rng.random() < style.barrier or kind == "park":
        barrier(scene, outer, gaps, plan.end, leaves, style, rng)
    if kind != "blocks":
        for _ in range(int(rng.poisson(11 if kind == "park" else 4))):
            off = float(rng.uniform(1.5, 22 if kind == "park" else max(garden - 1, 2)))
            _tree(scene, style, outer + side * off, along(rng, 6, 110), gaps, leaves, light, rng)
    row = kerb + side * (verge / 2 if verge else 0.7)
    if rng.random() < style.trees:
        step = float(rng.uniform(8, 16))
        tall, sort = float(rng.uniform(5, 10)), pick(style.plants, rng)
        for s in np.arange(rng.uniform(4, 12), min(plan.end, 60), step):
            _tree(scene, style, row, float(s), gaps, leaves, light, rng, (sort, tall))
    _furniture(scene, style, plan, side, kerb, width + verge, gaps, rng)


def _inside(s: float, gaps) -> bool:
    return any(a < s < b for a, b in gaps)


def _lots(style: Style, kind: str, gaps, end: float, rng) -> list[tuple[float, float]]:
    """Where houses stand along the street; far ones are longer, to save time."""
    lots, s = [], float(rng.uniform(-6, 2))
    while s < min(end - 4, 150):
        long = float(rng.uniform(7, 16) if kind == "houses" else rng.uniform(8, 22))
        long *= 1 + max(s, 0) / 60
        stop = min(s + long, end)
        for a, b in gaps:
            if s < a < stop:
                stop = a
            if a <= s < b:
                s, stop = b, b + long
        if stop - s > 3 and stop > 2.5:
            lots.append((max(s, 1.5), stop))
        s = stop + (float(rng.uniform(2, 6)) if kind == "houses" or rng.random() < 0.12 else 0.0)
    return lots


def _tree(scene, style, t, s, gaps, leaves, light, rng, like=None) -> None:
    if _inside(s, gaps) or not in_view(scene, t, s, 5):
        return
    kind, tall = like or (pick(style.plants | {"bush": 2.0}, rng), float(rng.uniform(4, 11)))
    tall *= float(rng.uniform(0.85, 1.15))
    if kind == "bush":
        tall = float(rng.uniform(0.8, 2.2))
    wide = tall * {"cone": 0.4, "bush": 1.5, "palm": 0.5}.get(kind, float(rng.uniform(0.6, 0.95)))
    colour = one_of((leaves,), rng, 0.12)
    if kind == "bare":
        colour = mixed(colour, (96, 78, 64), 0.85)
    paint = partial(plant, kind=kind, t=t, s=s, tall=tall, wide=wide, leaves=colour,
                    variant=int(rng.integers(2 * VARIANTS)))  # fmt: skip
    scene.items.append((s, paint))
    if s < 50:
        off = -light[0] * light[2] * tall * 0.6 if light[1] else 0.0
        shade = [(t + off + c * wide * 0.6, 0.0, max(s + n * wide * 0.5, NEAR)) for c, n in _RING]
        scene.shadows.append(shade)


def _furniture(scene, style, plan, side, kerb, width, gaps, rng) -> None:
    edge = kerb + side * 0.45
    if rng.random() < 0.75:
        arm = -side * float(rng.uniform(0.8, 2.2)) if rng.random() < 0.7 else 0.0
        tall = float(rng.uniform(6, 9)) if arm else float(rng.uniform(3.5, 5))
        grey = one_of(((90, 92, 95), (50, 54, 52), (150, 152, 154)), rng)
        for s in np.arange(rng.uniform(6, 25), min(plan.end, 110), rng.uniform(18, 30)):
            s = float(s)
            add(scene, edge, s, 3, partial(lamp, t=edge, s=s, tall=tall, arm=arm, colour=grey))
    for _ in range(int(rng.poisson(style.signs / 2))):
        s = along(rng, 7, 40)
        if not _inside(s, gaps):
            add(scene, edge, s, 1, partial(sign, t=edge, s=s, rng=rng))
    spots = [plan.junction[0] - 1.0, plan.junction[1] + 1.0] if plan.junction else []
    spots += [along(rng, 9, 35) for _ in range(int(rng.poisson(style.lights / 4)))]
    for s in spots:
        arm = -side * float(rng.uniform(2.5, 6)) if rng.random() < 0.4 else 0.0
        add(scene, edge, s, 7, partial(traffic_light, t=edge, s=s, arm=arm, rng=rng))
    if rng.random() < 0.2:
        for s in np.arange(rng.uniform(5, 9), 30, 2.0):
            if not _inside(s, gaps):
                s = float(s)
                add(scene, edge, s, 0.2, partial(bollard, t=edge, s=s, tall=0.95, colour=(48,) * 3))
    for _ in range(int(rng.poisson(style.people / 2))):
        s, off = along(rng, 5, 50), float(rng.uniform(0.6, max(width - 0.3, 0.8)))
        for _ in range(1 + (rng.random() < 0.35)):
            walker(scene, kerb + side * off, s, rng)
            off, s = off + 0.55, s + float(rng.normal(0, 0.3))
    for _ in range(int(rng.poisson(style.parked_cycles / 2))):
        s, kind = along(rng, 5, 25), "motorcycle" if rng.random() < 0.45 else "bicycle"
        for _ in range(int(rng.integers(1, 4))):
            turn = float(rng.normal(np.pi / 2, 0.5))
            t = kerb + side * float(rng.uniform(0.5, 1.0))
            paint = partial(two_wheeler, kind=kind, t=t, s=s, heading=turn, ridden=False, rng=rng)
            add(scene, t, s, 1, paint)
            s += float(rng.uniform(0.7, 1.4))
