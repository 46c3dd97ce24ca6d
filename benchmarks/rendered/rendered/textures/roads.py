"""A road's surface, and the markings painted on it.

A road texture has x from -half_width to half_width across its columns and y from `start` on down
its rows, in metres.
"""

import cv2
import numpy as np

from ..chance import happens
from .ground import asphalt, paving
from .noise import fractal_noise, to_bytes


def road_surface(rng, world, half_width, length, height, width):
    """A road without markings, and whether it is cobbled.

    Returns:
        uint8 (height, width, 3) of `length` metres, and a bool.
    """
    cobbled = happens(rng, world.cobbled_roads)
    if cobbled:
        columns, rows = int(2 * half_width / 0.16), int(length / 0.14) // 2 * 2
        image = paving(rng, height, width, columns, rows, rng.uniform(0.34, 0.46), "cobble")
    else:
        image = asphalt(rng, height, width, contrast=world.ground_contrast)
    image = image.astype(np.float32)
    uneven = fractal_noise(rng, height // 8, width // 8, 5, 4, 0.6)
    uneven = uneven.repeat(8, 0).repeat(8, 1)[:height, :width]
    image *= 1 + 0.06 * world.ground_contrast * uneven[..., None]
    if not cobbled:
        _repairs(rng, image, half_width, length)
        _cracks(rng, image)
        if rng.random() < 0.5:  # a seam along the road
            x = int(rng.uniform(0.3, 0.7) * width)
            image[:, x : x + 2] *= 0.7
    _stains(rng, image, half_width, length)
    _manholes(rng, image, width / (2 * half_width), height / length)
    x = np.linspace(-half_width, half_width, width)
    gutter = np.clip((np.abs(x) - (half_width - 0.5)) / 0.5, 0, 1)
    image *= (1 - 0.28 * gutter)[None, :, None]
    return to_bytes(image), cobbled


def _repairs(rng, image, half_width, length):
    """Patches of newer or older asphalt."""
    height, width = image.shape[:2]
    across, along = width / (2 * half_width), height / length
    for _ in range(rng.integers(0, 9)):
        patch_width, patch_length = rng.uniform(0.8, 3), rng.uniform(0.8, 14)
        x, y = rng.uniform(-half_width, half_width), rng.uniform(0, length)
        left, right = int((x + half_width) * across), int((x + patch_width + half_width) * across)
        top, bottom = int(y * along), int((y + patch_length) * along)
        image[top:bottom, left:right] *= rng.uniform(0.72, 1.18)
        if rng.random() < 0.6:
            cv2.rectangle(image, (left, top), (right, bottom), (0.13, 0.13, 0.13), 2)


def _cracks(rng, image):
    height, width = image.shape[:2]
    for _ in range(rng.integers(2, 12)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        angle = rng.uniform(0, np.pi)
        points = []
        for _ in range(rng.integers(20, 90)):
            points.append((x, y))
            angle += rng.normal(0, 0.35)
            x += 6 * np.cos(angle)
            y += 6 * np.sin(angle)
        color = (0.15,) * 3 if rng.random() < 0.6 else (0.24,) * 3
        line = np.array(points, np.int32)
        cv2.polylines(image, [line], False, color, int(rng.integers(1, 4)))


def _stains(rng, image, half_width, length):
    """Oil and wet spots."""
    height, width = image.shape[:2]
    across, along = width / (2 * half_width), height / length
    for _ in range(rng.integers(3, 10)):
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        wide, long = int(rng.uniform(0.1, 0.5) * across), int(rng.uniform(0.2, 1.2) * along)
        spot = image[max(y - long, 0) : y + long, max(x - wide, 0) : x + wide]
        if spot.size:
            yy, xx = np.mgrid[-1 : 1 : spot.shape[0] * 1j, -1 : 1 : spot.shape[1] * 1j]
            spot *= (1 - 0.3 * np.exp(-3 * (xx**2 + yy**2)))[..., None]


def _manholes(rng, image, across, along):
    height, width = image.shape[:2]
    for _ in range(rng.integers(2, 7)):
        center = int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0, height))
        lid, rim = (int(0.33 * across), int(0.33 * along)), (int(0.36 * across), int(0.36 * along))
        cv2.ellipse(image, center, lid, 0, 0, 360, (0.22, 0.21, 0.2), -1)
        cv2.ellipse(image, center, rim, 0, 0, 360, (0.15,) * 3, 1)


class Markings:
    """Paint for a road texture: first collected, then put on with wear."""

    def __init__(self, rng, image, half_width, length, start):
        self.rng = rng
        self.image = image.astype(np.float32)
        self.half_width, self.length, self.start = half_width, length, start
        self.painted = np.zeros(image.shape[:2], np.uint8)
        self.colors = np.zeros(image.shape, np.float32)

    def pixel(self, x, y):
        """Column and row of a point."""
        height, width = self.image.shape[:2]
        column = round((x + self.half_width) * width / (2 * self.half_width))
        return column, round((y - self.start) * height / self.length)

    def rectangle(self, x0, y0, x1, y1, color):
        """Paints between two opposite corners, at least a pixel."""
        (column0, row0), (column1, row1) = self.pixel(x0, y0), self.pixel(x1, y1)
        left, right = sorted((column0, column1))
        top, bottom = sorted((row0, row1))
        left, top = max(left, 0), max(top, 0)
        inside = np.s_[top : max(bottom, top + 1), left : max(right, left + 1)]
        self.painted[inside] = 255
        self.colors[inside] = color

    def polygon(self, points, color):
        """Paints inside a polygon."""
        pixels = np.array([self.pixel(*point) for point in points], np.int32)
        cv2.fillPoly(self.painted, [pixels], 255)
        cv2.fillPoly(self.colors, [pixels], tuple(float(c) for c in color))

    def dashed(self, x, width, dash, gap, color, start, end, phase=0):
        """Paints a dashed line along y."""
        y = start + phase
        while y < end:
            self.rectangle(x - width / 2, y, x + width / 2, min(y + dash, end), color)
            y += dash + gap

    def worn(self, wear):
        """The texture (uint8) with its paint, of which a share `wear` is gone."""
        height, width = self.painted.shape
        noise = fractal_noise(self.rng, height // 4, width // 4, 64, 3, 0.8)
        noise = cv2.resize(noise, (width, height))
        where = np.nonzero(self.painted)
        opacity = np.clip(1 - wear + 0.3 * noise[where], 0.15, 1)[:, None]
        image = self.image.copy()
        image[where] = image[where] * (1 - opacity) + self.colors[where] * 255 * opacity
        return image.clip(0, 255).astype(np.uint8)
