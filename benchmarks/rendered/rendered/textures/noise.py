"""Fractal noise, and what every bitmap needs."""

import cv2
import numpy as np


def fractal_noise(rng, height, width, base=4, octaves=5, gain=0.55, tileable=False):
    """Sum of smooth random fields, each twice as fine as the last: (H, W), variance about 1.

    Args:
        base: cells of the coarsest field along the longer side.
        gain: amplitude of a field relative to the last.
    """
    total = np.zeros((height, width), np.float32)
    amplitude, power = 1.0, 0
    for octave in range(octaves):
        cells = base * 2**octave
        rows = max(2, int(cells * height / max(height, width)))
        columns = max(2, int(cells * width / max(height, width)))
        if rows > height or columns > width:
            break
        field = rng.standard_normal((rows, columns)).astype(np.float32)
        total += amplitude * _enlarged(field, height, width, tileable)
        power += amplitude**2
        amplitude *= gain
    return total / np.sqrt(power)


def _enlarged(field, height, width, tileable):
    if not tileable:
        return cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = field.shape
    field = np.pad(field, 2, mode="wrap")
    size = round(width * (columns + 4) / columns), round(height * (rows + 4) / rows)
    field = cv2.resize(field, size, interpolation=cv2.INTER_CUBIC)
    top, left = round(2 * height / rows), round(2 * width / columns)
    return field[top : top + height, left : left + width]


def to_bytes(image):
    """Values in [0, 1] as uint8."""
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


def shaded(color, change):
    """An image (H, W, 3) of one colour (or one a column), lighter and darker by `change` (H, W)."""
    return np.asarray(color, np.float32)[None, None] * (1 + change[..., None])
