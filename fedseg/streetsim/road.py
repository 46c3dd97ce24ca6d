"""The street's plan, its carriageway and what is painted on it."""

from typing import NamedTuple

import numpy as np

from .camera import FAR, NEAR
from .items import Scene, box
from .labels import ROAD, SIDEWALK
from .styles import Style
from .texture import Colour, mixed, scaled


class Plan(NamedTuple):
    """The street in metres: where lanes run and where it is cut."""

    lanes: tuple[tuple[float, int], ...]  # middle and direction (1: ours)
    left: float  # kerbs
    right: float
    park: tuple[bool, bool]  # cars parked along the left, right kerb
    junction: tuple[float, float] | None  # near and far kerb of the crossing street
    end: float  # where the street ends
    width: float  # of a lane


def draw_plan(style: Style, rng) -> Plan:
    """A random plan; the camera is in a lane of ours, at t = 0."""
    lane = float(rng.uniform(*style.lane))
    ours, theirs = (int(rng.integers(style.lanes[0], style.lanes[1] + 1)) for _ in range(2))
    if rng.random() < 0.2:
        theirs = 0
    mine = ours - 1 if rng.random() < 0.6 else int(rng.integers(ours))
    middle = 2.6 if theirs and rng.random() < style.median else 0.0
    sway = float(rng.normal(0, 0.25))
    lanes = [(lane * (k - mine) + sway, 1) for k in range(ours)]
    lanes += [(lane * (-k - mine - 1) - middle + sway, -1) for k in range(theirs)]
    park = (rng.random() < style.parking, rng.random() < style.parking)
    left = min(t for t, _ in lanes) - lane / 2 - (2.2 if park[0] else 0.3)
    right = max(t for t, _ in lanes) + lane / 2 + (2.2 if park[1] else 0.3)
    junction, end = None, FAR
    if rng.random() < style.ending:
        end = float(rng.uniform(35, 80))
    if rng.random() < style.junction:
        near = float(rng.uniform(9, 40))
        if near + 25 < end:
            junction = (near, near + float(rng.uniform(6, 12)))
    return Plan(tuple(lanes), left, right, park, junction, end, lane)


def road(scene: Scene, style: Style, plan: Plan, asphalt: Colour, green, rng) -> None:
    """Carriageway, crossing streets and markings; `green` is label and colour of the median."""
    ground = scene.ground
    last = plan.end + 8 if plan.end < FAR else FAR
    kerb = scaled(asphalt, float(rng.uniform(1.25, 1.7)))
    for edge in (plan.left - 0.18, plan.right):
        ground.append((box(edge, edge + 0.18, NEAR, last), kerb, SIDEWALK))
    ground.append((box(plan.left, plan.right, NEAR, last), asphalt, ROAD))
    crossings = [plan.junction] if plan.junction else []
    crossings += [(plan.end, plan.end + 8)] if plan.end < FAR else []
    for near, far in crossings:
        ground.append((box(-90, 90, near, far, 2), asphalt, ROAD))
    for _ in range(int(rng.integers(0, 4))):  # patches of newer tar
        t, s = rng.uniform(plan.left, plan.right - 1), rng.uniform(4, 30)
        tone = scaled(asphalt, float(rng.uniform(0.75, 1.1)))
        patch = box(t, min(t + rng.uniform(0.6, 3), plan.right), s, s + rng.uniform(1, 8), 2)
        ground.append((patch, tone, ROAD))
    _markings(ground, style, plan, asphalt, green, last, rng)


def _markings(ground, style: Style, plan: Plan, asphalt, green, last, rng) -> None:
    worn = float(rng.uniform(0.35, 0.95))
    white, middle = mixed(asphalt, (232, 232, 228), worn), mixed(asphalt, style.line, worn)

    def line(t: float, dashed: bool, colour: Colour, width: float = 0.14) -> None:
        step = float(rng.uniform(6, 10))
        if not dashed:
            ground.append((box(t, t + width, NEAR, last), colour, ROAD))
            return
        for s in np.arange(rng.uniform(1, step), min(last, 70), step):
            if not (plan.junction and plan.junction[0] - 3 < s < plan.junction[1]):
                ground.append((box(t, t + width, s, s + step * 0.45, 2), colour, ROAD))

    ours = sorted(t for t, way in plan.lanes if way > 0)
    theirs = sorted(t for t, way in plan.lanes if way < 0)
    marked = rng.random() < (0.9 if style.ground == "asphalt" else 0.6)
    half = plan.width / 2
    if marked:
        for t in ours[1:]:
            line(t - half, True, white)
        for t in theirs[1:]:
            line(t - half, True, white)
        if rng.random() < 0.5:
            line(plan.left + 0.3, False, white)
            line(plan.right - 0.45, False, white)
    if theirs:
        a, b = theirs[-1] + half, ours[0] - half
        if b - a > 1:
            ground.append((box(a + 0.2, b - 0.2, NEAR, last), green[1], green[0]))
            if plan.junction:
                ground.append((box(a, b, *plan.junction, 2), asphalt, ROAD))
        elif marked:
            solid = rng.random() < 0.4
            line(b, not solid, middle)
            if solid:
                line(b - 0.3, False, middle)
    if plan.junction and rng.random() < 0.7:
        near = plan.junction[0] - 3.4
        for t in np.arange(plan.left + 0.3, plan.right - 0.5, 1.0):
            ground.append((box(t, t + 0.5, near, near + 2.8, 1), white, ROAD))
        ground.append((box(ours[0] - half, plan.right, near - 1.2, near - 0.8, 1), white, ROAD))
    if rng.random() < 0.25:  # an arrow
        t, s = float(rng.choice(ours)), float(rng.uniform(6, 16))
        ground.append((box(t - 0.09, t + 0.09, s, s + 2, 1), white, ROAD))
        head = [(t - 0.4, 0.0, s + 2), (t + 0.4, 0.0, s + 2), (t, 0.0, s + 3.6)]
        ground.append((head, white, ROAD))
