"""What moves on a street or is parked at its kerbs."""

from functools import partial

import numpy as np

from .camera import NEAR
from .chance import along, one_of, pick
from .items import Scene, add, box, in_view
from .labels import CAR, ROAD
from .people import person, two_wheeler
from .road import Plan
from .styles import Style
from .texture import Colour
from .vehicles import BODIES, LENGTHS, footprint, vehicle

CARS = {"sedan": 4.0, "hatch": 4.0, "suv": 3.0, "van": 1.5}
RARE = {"truck": ("truck", "tipper"), "bus": ("bus", "double"), "tram": ("tram",)}
CAR_PAINTS: tuple[Colour, ...] = (
    (28, 29, 32), (60, 63, 68), (130, 134, 138), (182, 185, 188), (228, 228, 226), (150, 24, 28),
    (32, 58, 116), (74, 100, 128), (44, 72, 56), (140, 118, 88), (196, 160, 40),
)  # fmt: skip


LOUD_PAINTS: tuple[Colour, ...] = (  # of buses, trams and trucks
    (196, 40, 36), (36, 96, 170), (236, 232, 224), (232, 180, 40), (60, 140, 80),
)  # fmt: skip


def traffic(scene: Scene, style: Style, plan: Plan, light, rng) -> None:
    """Vehicles in the lanes and at the kerbs, who crosses the street, and riders."""
    rare = [kind for kind, chance in style.rare.items() if rng.random() < chance]
    rng.shuffle(rare)
    lanes = list(plan.lanes)
    rng.shuffle(lanes)
    for t, way in lanes:
        t, way = float(t), int(way)
        s = float(rng.uniform(9, 24) if t * t < 2 else rng.uniform(6, 16))
        first = True
        while s < min(plan.end, 85):
            kind = pick(CARS, rng)
            if rare and first and (t * t > 2 or len(lanes) == 1 or rng.random() < 0.3):
                kind = str(rng.choice(RARE[str(rare.pop())]))
            elif rng.random() > style.traffic * 0.35:
                kind = ""
                s += 6
            first = False
            if kind:
                if kind == "tram":
                    _rails(scene, plan, t)
                half = LENGTHS[kind] / 2
                heading = (0.0 if way > 0 else np.pi) + float(rng.normal(0, 0.02))
                _drive(scene, kind, t, s + half, heading, light, rng)
                s += 2 * half
            s += float(rng.exponential(12) + 4)
    for side, edge in ((0, plan.left + 1.05), (1, plan.right - 1.05)):
        s = float(rng.uniform(3, 9))
        while plan.park[side] and s < min(plan.end, 50):
            kind = pick(CARS, rng)
            half = LENGTHS[kind] / 2
            clear = plan.junction and plan.junction[0] - 6 < s + half < plan.junction[1] + 5
            if rng.random() < 0.7 and not clear:
                heading = 0.0 if side or rng.random() < 0.4 else np.pi
                _drive(scene, kind, edge, s + half, heading, light, rng)
            s += 2 * half + float(rng.uniform(0.6, 2))
    if plan.junction and rng.random() < 0.5:  # somebody crosses
        kind = str(rng.choice(RARE[str(rare.pop())])) if rare else pick(CARS, rng)
        heading = float(rng.choice([-1, 1])) * np.pi / 2
        s = (plan.junction[0] + plan.junction[1]) / 2
        _drive(scene, kind, float(rng.uniform(-9, 9)), s, heading, light, rng)
    if plan.junction and rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 5))):
            walker(scene, float(rng.uniform(plan.left, plan.right)), plan.junction[0] - 2, rng)
    for _ in range(int(rng.poisson(style.riders)) + (rng.random() < 0.3)):
        right = rng.random() < 0.6
        inset = float(rng.uniform(0.6, 1.6)) + (2.0 if plan.park[int(right)] else 0.0)
        t = plan.right - inset if right else plan.left + inset
        kind = "bicycle" if rng.random() < 0.55 else "motorcycle"
        s = along(rng, 6, 30)
        heading = (0.0 if right else np.pi) + float(rng.normal(0, 0.45))
        paint = partial(two_wheeler, kind=kind, t=t, s=s, heading=heading, ridden=True, rng=rng)
        add(scene, t, s, 1, paint)
        scene.shadows.append(box(t - 0.3, t + 0.3, s - 0.6, s + 0.6, 1))


def _rails(scene: Scene, plan: Plan, t: float) -> None:
    for rail in (t - 0.72, t + 0.72):
        strip = box(rail - 0.06, rail + 0.06, NEAR, plan.end)
        scene.ground.append((strip, (96, 92, 90), ROAD))


def _drive(scene: Scene, kind: str, t: float, s: float, heading: float, light, rng) -> None:
    reach = LENGTHS[kind]
    near = s - abs(np.cos(heading)) * reach / 2
    if near < 2.5 or not (in_view(scene, t, near, reach) or in_view(scene, t, s + reach / 2, 2)):
        return
    paints = CAR_PAINTS if BODIES[kind][0].label == CAR else LOUD_PAINTS
    colour, second = one_of(paints, rng), one_of(paints + CAR_PAINTS, rng)
    sides = tuple(1.0 + 0.35 * light[1] * light[0] * sign for sign in (-1, 1))
    paint = partial(vehicle, kind=kind, t=t, s=s, heading=heading, colour=colour, second=second,
                    light=sides)  # fmt: skip
    scene.items.append((near, paint))
    scene.shadows.append(footprint(kind, t, s, heading, 0.12))
    if light[1]:
        scene.shadows.append(footprint(kind, t - light[0] * light[2] * 1.2, s, heading, 0.12))


def walker(scene: Scene, t: float, s: float, rng) -> None:
    """A pedestrian and the shadow below."""
    tall = float(rng.normal(1.7, 0.1)) if rng.random() < 0.9 else float(rng.uniform(1.1, 1.4))
    if add(scene, t, s, 0.5, partial(person, t=t, s=s, tall=tall, rng=rng)):
        scene.shadows.append(box(t - 0.3, t + 0.3, s - 0.15, s + 0.25, 1))
