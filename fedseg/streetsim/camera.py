"""Pinhole camera over a flat ground, in street coordinates.

Street coordinates are metres: `t` to the right of the camera, `y` up from the road, `s` forward
along the street. A street that bends is straight in them; the bend happens in `project`. A pitched
camera is a shifted horizon, which keeps verticals vertical.
"""

from typing import NamedTuple

import numpy as np

NEAR = 0.8  # metres; what is nearer is drawn as if here, below the picture's lower edge
LIMIT = 20_000.0  # pixels; far outside any canvas, well inside OpenCV's fixed point
FAR = 220.0  # metres; where streets end


class Camera(NamedTuple):
    """All in pixels of the canvas, metres and radians."""

    focal: float
    cx: float
    horizon: float
    height: float
    yaw: float
    bend: float  # curvature of the street, 1/m, positive to the right


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Canvas positions (float64, N x 2, x then y) of street points (N x 3: t, y, s)."""
    t, y, s = points.T
    s = np.maximum(s, NEAR)
    out = np.empty((len(points), 2))
    out[:, 0] = t + s * (camera.yaw + 0.5 * camera.bend * s)
    out[:, 1] = camera.height - y
    out *= (camera.focal / s)[:, None]
    out += (camera.cx, camera.horizon)
    np.maximum(out, -LIMIT, out=out)
    return np.minimum(out, LIMIT, out=out)


def frame(camera: Camera, t: float, s: float) -> tuple[float, float, float]:
    """Canvas position x, y of a point on the ground, and pixels per metre there."""
    scale = camera.focal / s
    x = camera.cx + scale * t + camera.focal * (camera.yaw + 0.5 * camera.bend * s)
    return x, camera.horizon + scale * camera.height, scale


def ground(
    camera: Camera, top: int, height: int, width: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where every `step`-th pixel below row `top` sees the ground, float32.

    A map of `t` and, because it is the same all along a row, a column of `s`.
    """
    rows = np.arange(top, height, step, dtype=np.float32)[:, None] + np.float32(0.5)
    s = np.minimum(camera.focal * camera.height / np.maximum(rows - camera.horizon, 0.5), FAR)
    columns = (np.arange(0, width, step, dtype=np.float32) + 0.5 - camera.cx) / camera.focal
    t = s * (columns - camera.yaw - 0.5 * camera.bend * s)
    return t, s
