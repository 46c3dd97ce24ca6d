"""Asphalt, paving, grass and brickwork; all but brickwork can be tiled."""

import cv2
import numpy as np

from .noise import fractal_noise, shaded


def asphalt(rng, height, width, grey=None, contrast=1.0):
    """Grainy grey; `contrast` scales its noise."""
    grey = rng.uniform(0.30, 0.46) if grey is None else grey
    tint = np.array([1, 1, 1.0]) + rng.normal(0, 0.012, 3)
    change = 0.05 * contrast * fractal_noise(rng, height, width, 6, 5, 0.7, True)
    change = change + 0.045 * contrast * rng.standard_normal((height, width), dtype=np.float32)
    return np.clip(shaded(grey * tint, change), 0.02, 1)


def paving(rng, height, width, columns, rows, grey=None, kind="slab", contrast=1.0, relief=1.0):
    """Stones in a grid ("slab") or in running bond ("run", and "cobble" with round stones)."""
    grey = rng.uniform(0.45, 0.62) if grey is None else grey
    tint = np.array([1.03, 1.0, 0.95]) + rng.normal(0, 0.02, 3)
    spread = 0.05 if kind == "slab" else 0.09
    stones = (rng.standard_normal((rows, columns)) * spread).astype(np.float32)
    change = cv2.resize(stones, (width, height), interpolation=cv2.INTER_NEAREST)
    if kind != "slab":
        _shift_every_other_row(change, rows, columns)
    joints = _joints(height, width, columns, rows, kind)
    change = (change - joints) * relief
    change = change + 0.04 * contrast * rng.standard_normal((height, width)).astype(np.float32)
    change = change + 0.05 * contrast * fractal_noise(rng, height, width, 3, 4, 0.6, True)
    return np.clip(shaded(grey * tint, change), 0.03, 1)


def _shift_every_other_row(image, rows, columns):
    height, width = image.shape
    for row in range(0, rows, 2):
        top, bottom = row * height // rows, (row + 1) * height // rows
        image[top:bottom] = np.roll(image[top:bottom], width // columns // 2, 1)


def _joints(height, width, columns, rows, kind):
    """How much darker the joints between the stones are (H, W)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y = y * rows / height
    x = x * columns / width + (0 if kind == "slab" else 0.5) * (np.floor(y) % 2)
    from_middle_y, from_middle_x = np.abs(y % 1 - 0.5) * 2, np.abs(x % 1 - 0.5) * 2
    if kind == "cobble":
        return np.clip((np.maximum(from_middle_y, from_middle_x) - 0.55) / 0.45, 0, 1) ** 2 * 0.45
    wide = 3.0  # pixels
    return 0.35 * (
        (from_middle_y > 1 - wide * rows / height) | (from_middle_x > 1 - wide * columns / width)
    )


def grass(rng, height, width):
    """Green, with dry patches."""
    fine = fractal_noise(rng, height, width, 8, 6, 0.8, True)
    coarse = fractal_noise(rng, height, width, 3, 3, 0.6, True)
    green = np.array([0.33, 0.42, 0.18]) * rng.uniform(0.8, 1.15)
    image = shaded(green, 0.22 * fine + 0.10 * rng.standard_normal((height, width)))
    dry = np.clip(coarse * 0.5, 0, 0.8)[..., None]
    dry_color = np.array([0.48, 0.43, 0.27]) * (1 + 0.15 * fine[..., None])
    return np.clip(image * (1 - dry) + dry * dry_color, 0.03, 1)


def brickwork(rng, height, width, rows, columns, color):
    """Bricks in running bond, with light joints where a row has 3 pixels."""
    bricks = rng.standard_normal((rows, columns)).astype(np.float32) * 0.13
    change = cv2.resize(bricks, (width, height), interpolation=cv2.INTER_NEAREST)
    _shift_every_other_row(change, rows, columns)
    change += 0.05 * fractal_noise(
        rng, height, width, 3, 4, 0.6, True
    ) + 0.03 * rng.standard_normal((height, width))
    image = shaded(color, change)
    if height / rows >= 3:
        for row in range(rows):
            image[row * height // rows] = image[row * height // rows] * 0.5 + 0.25
    return np.clip(image, 0.03, 1)
