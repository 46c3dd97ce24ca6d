"""The list of what a scene is made of."""

from collections.abc import Callable
from typing import NamedTuple

from .camera import NEAR, Camera, frame
from .paint import Canvas, Shape

Outline = list[tuple[float, float, float]]  # a polygon in street coordinates
Paint = Callable[[Canvas], None]


class Scene(NamedTuple):
    """Everything to paint: the ground, then the shadows on it, then the items from far to near."""

    camera: Camera
    width: int  # of the canvas, pixels
    ground: list[Shape]  # in street coordinates
    shadows: list[Outline]
    items: list[tuple[float, Paint]]  # depth, metres


def in_view(scene: Scene, t: float, s: float, reach: float) -> bool:
    """Whether something at (t, s), at most `reach` metres to each side, can be in the picture."""
    x, _, scale = frame(scene.camera, t, s)
    return x + scale * reach >= 0 and x - scale * reach <= scene.width


def add(
    scene: Scene, t: float, s: float, reach: float, paint: Paint, depth: float | None = None
) -> bool:
    """Adds an item that stands at (t, s), unless it is out of view.

    Nothing of it is more than `reach` metres aside. It is painted as if `depth` (default: s)
    metres away. Returns whether it was added.
    """
    seen = in_view(scene, t, s, reach)
    if seen:
        scene.items.append((s if depth is None else depth, paint))
    return seen


def box(t0: float, t1: float, s0: float, s1: float, pieces: int = 12) -> Outline:
    """Outline of a strip of ground; cut along `s` because the street may bend."""
    s0, s1 = max(s0, NEAR), max(s1, NEAR)
    cuts = [s0 * (s1 / s0) ** (k / pieces) for k in range(pieces + 1)]
    return [(t0, 0.0, s) for s in cuts] + [(t1, 0.0, s) for s in reversed(cuts)]
