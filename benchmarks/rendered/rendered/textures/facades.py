"""Fronts of houses: wall, windows, shops, doors, and dirt."""

from dataclasses import dataclass

import cv2
import numpy as np

from ..chance import one_of
from .ground import brickwork, paving
from .noise import fractal_noise, shaded, to_bytes

SIZE = 512  # pixels a side
FLOOR_HEIGHT = 3.2  # metres
BRICKS = (
    (0.45, 0.24, 0.18),
    (0.50, 0.30, 0.22),
    (0.40, 0.22, 0.18),
    (0.56, 0.42, 0.32),
    (0.60, 0.50, 0.38),
    (0.36, 0.25, 0.22),
)
WINDOW_FRAMES = ((0.88, 0.88, 0.86), (0.25, 0.2, 0.17), (0.16, 0.17, 0.18), (0.8, 0.78, 0.72))
DOORS = (
    (0.25, 0.15, 0.1),
    (0.1, 0.2, 0.15),
    (0.12, 0.12, 0.14),
    (0.5, 0.12, 0.1),
    (0.15, 0.2, 0.35),
)
SHINY = 0.06
"""Roughness of glass."""


@dataclass
class Canvas:
    """A facade of `width` by `height` metres while it is drawn."""

    image: np.ndarray
    roughness: np.ndarray
    width: float
    height: float

    def rectangle(self, left, bottom, right, top, color, roughness=None, opacity=1.0):
        """Paints a rectangle; metres, y up from the ground."""
        across, up = SIZE / self.width, SIZE / self.height
        left, right = round(left * across), round(right * across)
        bottom, top = round(SIZE - bottom * up), round(SIZE - top * up)
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(max(right, left + 1), SIZE), min(max(bottom, top + 1), SIZE)
        if left >= SIZE or top >= SIZE:
            return
        inside = np.s_[top:bottom, left:right]
        color = np.asarray(color, np.float32)
        self.image[inside] = self.image[inside] * (1 - opacity) + color * opacity
        if roughness is not None:
            self.roughness[inside] = roughness


def facade(rng, world, wall, ground_floor, width, height, floor_height=FLOOR_HEIGHT, contrast=1.0):
    """Draws a facade of `width` by `height` metres.

    Args:
        wall: "brick", "stone", "siding", "plaster" or "glass".
        ground_floor: "shop", "door", "garage" or "none".
        contrast: of noise and dirt.

    Returns:
        Colour (SIZE, SIZE, 3) and roughness (SIZE, SIZE), both uint8.
    """
    roughness = np.full((SIZE, SIZE), 0.85, np.float32)
    color = np.array(one_of(rng, world.plaster))
    color = color * rng.uniform(0.85, 1.08) + rng.normal(0, 0.015, 3)
    if wall == "brick":
        color = np.array(one_of(rng, BRICKS)) * rng.uniform(0.85, 1.15)
    image = _wall(rng, wall, color, width, height, contrast).astype(np.float32)
    canvas = Canvas(image, roughness, width, height)

    base = 0
    if ground_floor != "none":
        base = rng.uniform(3.4, 4.4) if ground_floor == "shop" else floor_height
    floors = max(1, round((height - base) / floor_height))
    story = (height - base - (0 if wall == "glass" else 0.5)) / floors
    trim = np.clip(color * rng.choice([0.75, 1.2, 1.3]) + 0.04, 0, 0.92)
    frame = WINDOW_FRAMES[rng.choice(4, p=[0.5, 0.15, 0.25, 0.1])]
    if wall == "glass":
        _curtain_wall(rng, canvas, base, floors, story, color)
    else:
        _windows(rng, canvas, world, base, floors, story, color, trim, frame)
        canvas.rectangle(0, height - 0.45, width, height, trim)
        canvas.rectangle(0, height - 0.55, width, height - 0.45, color * 0.45, None, 0.7)

    if ground_floor == "shop":
        _shops(rng, canvas, base, frame)
    elif ground_floor == "door":
        _doors(rng, canvas, world, base, trim, frame)
    elif ground_floor == "garage":
        _garage(rng, canvas, frame)
    _weathering(rng, canvas, contrast)
    return to_bytes(np.clip(image, 0.015, 0.95)), to_bytes(roughness)


def _wall(rng, wall, color, width, height, contrast):
    if wall == "brick":
        rows = max(8, int(height / 0.14)) if height < 24 else 170
        return brickwork(rng, SIZE, SIZE, rows, max(4, int(width / 0.4)), color)
    if wall == "stone":
        columns, rows = max(3, int(width / 0.8)), max(3, int(height / 0.38))
        image = paving(rng, SIZE, SIZE, columns, rows, color.mean(), "run", relief=0.4)
        image *= (color / color.mean())[None, None]
        return image
    if wall == "siding":
        noise = 0.03 * fractal_noise(rng, SIZE, SIZE, 4, 4)
        boards = (np.arange(SIZE) / (SIZE / height) % 0.22) / 0.22
        return shaded(color, noise - 0.10 * contrast * (boards[:, None] < 0.18))
    noise = 0.05 * fractal_noise(rng, SIZE, SIZE, 3, 5, 0.6)
    return shaded(color, contrast * (noise + 0.02 * rng.standard_normal((SIZE, SIZE))))


def _glass(rng):
    """The colour of a window by day."""
    rng.random()  # not used, as once below: the numbers after it make the worlds what they are
    return rng.uniform(0.10, 0.32) * np.array([0.92, 1.0, rng.uniform(1.02, 1.22)])


def _curtain_wall(rng, canvas, base, floors, story, color):
    """Glass from wall to wall."""
    pane = rng.uniform(1.1, 2.0)
    panes = max(2, int(canvas.width / pane))
    pane = canvas.width / panes
    tint = np.array([0.16, 0.22, 0.27]) * rng.uniform(0.5, 1.3)
    tint = tint * np.array([1, rng.uniform(0.95, 1.1), rng.uniform(0.9, 1.2)])
    spandrel, mullion = rng.uniform(0.15, 0.45), rng.uniform(0.1, 0.6)
    for floor in range(floors):
        bottom, top = base + floor * story, base + (floor + 1) * story
        for i in range(panes):
            glass = tint * rng.uniform(0.75, 1.25)
            canvas.rectangle(i * pane, bottom, (i + 1) * pane, top, glass, 0.08)
            if rng.random() < 0.15:
                blind = bottom + story * rng.uniform(0.3, 0.7)
                canvas.rectangle(i * pane, blind, (i + 1) * pane, top, glass * 0.5 + 0.25, 0.15)
        canvas.rectangle(0, bottom, canvas.width, bottom + spandrel, color * 0.6, 0.5)
    for i in range(panes + 1):
        left, right = i * pane - 0.05, i * pane + 0.05
        canvas.rectangle(left, base, right, canvas.height, [mullion] * 3, 0.5)


def _windows(rng, canvas, world, base, floors, story, color, trim, frame):
    """Rows of windows, with what goes round them."""
    bay = rng.uniform(*world.window_bay)
    bays = max(1, int(canvas.width / bay))
    bay = canvas.width / bays
    width, height = bay * rng.uniform(0.36, 0.62), story * rng.uniform(0.46, 0.66)
    sill = story * rng.uniform(0.2, 0.3)
    rng.random()
    shutters = rng.random() < world.shutters
    shutter_color = rng.choice([0.2, 0.35, 0.5]) * np.array(
        [rng.uniform(0.5, 1.2), rng.uniform(0.7, 1.2), rng.uniform(0.5, 1.1)]
    )
    surround, course = rng.random() < 0.55, rng.random() < 0.5
    bars = rng.integers(0, 3)
    if rng.random() < 0.25:  # pilasters
        for i in range(bays + 1):
            left, right = i * bay - 0.18, i * bay + 0.18
            canvas.rectangle(left, base, right, canvas.height, trim, None, 0.8)
    for floor in range(floors):
        floor_line = base + floor * story
        bottom = floor_line + sill
        top = bottom + height * (0.85 if floor == floors - 1 and floors > 3 else 1)
        if course:
            canvas.rectangle(0, floor_line - 0.1, canvas.width, floor_line + 0.12, trim)
            canvas.rectangle(
                0, floor_line - 0.16, canvas.width, floor_line - 0.1, color * 0.5, None, 0.6
            )
        for i in range(bays):
            if rng.random() < 0.02:
                continue
            middle = (i + 0.5) * bay
            left, right = middle - width / 2, middle + width / 2
            if surround:
                canvas.rectangle(left - 0.14, bottom - 0.1, right + 0.14, top + 0.18, trim)
            sill_color = np.clip(trim * 1.1, 0, 0.95)
            canvas.rectangle(left - 0.07, bottom - 0.14, right + 0.07, bottom, sill_color)
            dirt = color * 0.6
            canvas.rectangle(
                left - 0.07, bottom - 0.3, right + 0.07, bottom - 0.14, dirt, None, 0.35
            )
            canvas.rectangle(left, bottom, right, top, np.array(frame) * 0.9, 0.5)
            _pane(rng, canvas, left, bottom, right, top)
            if bars >= 1:
                canvas.rectangle(middle - 0.035, bottom, middle + 0.035, top, frame, 0.5)
            if bars >= 2:
                bar = bottom + height * 0.62
                canvas.rectangle(left, bar, right, bar + 0.06, frame, 0.5)
            canvas.rectangle(left, top - 0.12, right, top, np.zeros(3), None, 0.45)  # shadow
            if shutters and right - left < bay * 0.55:
                wing = width * 0.42
                canvas.rectangle(left - wing, bottom, left - 0.03, top, shutter_color)
                canvas.rectangle(right + 0.03, bottom, right + wing, top, shutter_color)


def _pane(rng, canvas, left, bottom, right, top):
    """A window's glass, with a blind, curtains or nothing behind it."""
    edge = 0.06
    inner_left, inner_right, inner_top = left + edge, right - edge, top - edge
    canvas.rectangle(inner_left, bottom + edge, inner_right, inner_top, _glass(rng), SHINY)
    behind = rng.random()
    if behind < 0.25:
        lower = bottom + (top - bottom) * rng.uniform(0.2, 0.8)
        blind = np.array([0.6, 0.58, 0.54]) * rng.uniform(0.6, 1.1)
        canvas.rectangle(inner_left, lower, inner_right, inner_top, blind, 0.2)
    elif behind < 0.55:
        wide = (right - left) * rng.uniform(0.12, 0.3)
        curtain = np.array([0.62, 0.6, 0.56]) * rng.uniform(0.5, 1.1)
        canvas.rectangle(inner_left, bottom + edge, left + wide, inner_top, curtain, 0.15)
        canvas.rectangle(right - wide, bottom + edge, inner_right, inner_top, curtain, 0.15)


def _shops(rng, canvas, top, frame):
    """A row of shops up to `top`."""
    left = 0.0
    base = np.array([rng.uniform(0.1, 0.5)] * 3)
    base = base * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.75, 1)])
    while left < canvas.width - 0.5:
        width = min(rng.uniform(3.5, 7.5), canvas.width - left)
        if canvas.width - left - width < 2:
            width = canvas.width - left
        _shop(rng, canvas, left, width, top, base, frame)
        left += width


def _shop(rng, canvas, left, width, top, base, frame):
    right = left + width
    wall = base if rng.random() < 0.6 else rng.uniform(0.08, 0.6) * np.array([1, 0.95, 0.9])
    canvas.rectangle(left, 0, right, top, wall)
    _shop_sign(rng, canvas, left, right, top)
    door = left + rng.uniform(0.2, width - 1.3)
    canvas.rectangle(left + 0.25, 0.5, right - 0.25, top - 0.9, _glass(rng) * 0.9, 0.05)
    for _ in range(14):  # goods
        x, y = rng.uniform(left + 0.3, right - 0.6), rng.uniform(0.5, 1.7)
        x1, y1 = x + rng.uniform(0.1, 0.5), y + rng.uniform(0.1, 0.6)
        canvas.rectangle(x, y, x1, y1, rng.random(3) * 0.5, 0.1, 0.5)
    if rng.random() < 0.4:  # lamps
        canvas.rectangle(
            left + 0.25, top - 1.3, right - 0.25, top - 1.1, [0.75, 0.7, 0.6], 0.1, 0.6
        )
    for x in np.arange(left + 0.25, right, rng.uniform(1.3, 2.4)):
        canvas.rectangle(x - 0.04, 0.3, x + 0.04, top - 0.8, np.array(frame) * 0.8, 0.5)
    canvas.rectangle(door, 0, door + 1.0, 2.25, np.array(frame) * 0.6, 0.5)
    canvas.rectangle(door + 0.1, 0.3, door + 0.9, 2.1, _glass(rng), SHINY)
    canvas.rectangle(left, 0, left + 0.18, top, base * 0.7)


def _shop_sign(rng, canvas, left, right, top):
    """A board with strokes that look like letters from afar."""
    color = rng.uniform(0.1, 0.6) + rng.normal(0, 0.16, 3)
    color = np.clip(color, 0.03, 0.85)
    if rng.random() < 0.45:
        color = np.array([rng.uniform(0.05, 0.85)] * 3)
    canvas.rectangle(left + 0.1, top - 0.75, right - 0.1, top - 0.08, color, 0.4)
    ink = 0.9 if color.mean() < 0.5 else 0.08
    width = right - left
    middle = left + width * 0.5
    x = middle - min(width * 0.35, rng.uniform(0.8, 2))
    end = 2 * middle - x
    while x < end:
        stroke = rng.uniform(0.08, 0.22)
        high = top - 0.25 - rng.uniform(0, 0.12)
        canvas.rectangle(x, top - 0.58, x + stroke, high, [ink] * 3, None, 0.85)
        x += stroke + 0.07
    canvas.rectangle(left + 0.1, top - 0.85, right - 0.1, top - 0.75, np.zeros(3), None, 0.6)


def _doors(rng, canvas, world, top, trim, frame):
    """A house door between windows."""
    bays = max(1, int(canvas.width / 2.8))
    bay = canvas.width / bays
    door = rng.integers(bays)
    if rng.random() < 0.6:  # plinth
        canvas.rectangle(0, 0, canvas.width, rng.uniform(0.4, 1.0), trim * 0.7)
    if rng.random() < 0.25 and world.rendered_ground_floor:
        canvas.rectangle(0, 0, canvas.width, top, trim * 0.85, None, 0.85)
    for i in range(bays):
        middle = (i + 0.5) * bay
        if i == door:
            color = np.array(one_of(rng, DOORS))
            canvas.rectangle(middle - 0.65, 0, middle + 0.65, 2.55, trim)
            canvas.rectangle(middle - 0.5, 0, middle + 0.5, 2.4, color, 0.4)
            canvas.rectangle(middle - 0.35, 1.3, middle + 0.35, 2.1, [0.15, 0.16, 0.17], 0.08)
            continue
        half = bay * 0.45 / 2
        canvas.rectangle(middle - half - 0.1, 0.85, middle + half + 0.1, 2.55, trim)
        canvas.rectangle(middle - half, 0.95, middle + half, 2.45, frame, 0.5)
        canvas.rectangle(middle - half + 0.06, 1.0, middle + half - 0.06, 2.4, _glass(rng), SHINY)
        canvas.rectangle(middle - 0.03, 0.95, middle + 0.03, 2.45, frame, 0.5)


def _garage(rng, canvas, frame):
    """A garage door, a house door and a window."""
    width = canvas.width
    left, right = width * 0.55, width * 0.55 + min(2.6, width * 0.4)
    canvas.rectangle(left, 0, right, 2.3, np.array([0.7, 0.7, 0.68]) * rng.uniform(0.5, 1.1), 0.5)
    for i in range(1, 5):
        canvas.rectangle(left, i * 0.46, right, i * 0.46 + 0.04, [0.3] * 3, None, 0.5)
    canvas.rectangle(width * 0.1, 0, width * 0.1 + 1.0, 2.2, [0.3, 0.16, 0.1], 0.4)
    canvas.rectangle(width * 0.26, 0.9, width * 0.46, 2.2, frame, 0.5)
    canvas.rectangle(width * 0.27, 0.97, width * 0.45, 2.13, _glass(rng), SHINY)


def _weathering(rng, canvas, contrast):
    """Streaks from above and dirt near the ground."""
    streaks = np.clip(fractal_noise(rng, 8, SIZE, 24, 3, 0.7), 0, 3)
    streaks = cv2.resize(streaks, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    canvas.image *= 1 - (0.05 * contrast * streaks)[..., None]
    above_ground = (SIZE - np.arange(SIZE)) / (SIZE / canvas.height)
    canvas.image *= (1 - 0.22 * contrast * np.exp(-above_ground / 0.5))[:, None, None]
