"""Light: the sky, the lit ground, weather, night, lens and sensor."""

from functools import lru_cache
from itertools import chain

import cv2
import numpy as np

from fedseg.resize import resize_image

from .camera import FAR, ground, project
from .labels import ROAD, SIDEWALK, SKY, VEGETATION
from .paint import Canvas
from .styles import Style
from .texture import TILE, Colour, crop, noise, surfaces


def sky(canvas: Canvas, zenith: Colour, low: Colour, cover: float, rng) -> None:
    """A graded sky with clouds, painted above and a little below the horizon."""
    width = canvas.pixels.shape[1]
    rows = int(canvas.camera.horizon) + 2
    share = np.linspace(0, 1, rows, dtype=np.float32)[:, None] ** float(rng.uniform(0.6, 1.6))
    graded = np.asarray(zenith) * (1 - share) + np.asarray(low) * share
    small = (max(rows // 4, 1), max(width // 4, 1))
    field = resize_image(crop(noise(30, 2, 64, 0.6), 96, 80, rng), small)
    cloud = np.clip((field + 3.4 * cover - 1.7) * 0.7, 0, 1) * min(1.0, 0.4 + cover)
    half = resize_image(graded[:, None].astype(np.float32), (small[0], 1)).reshape(-1, 1, 3)
    picture = np.full((*small, 4), SKY, np.uint8)
    for i in range(3):
        white = np.float64(low[i]) * 0.4 + 255 * 0.6 - 26 * cover * field
        channel = half[..., i] + (white - half[..., i]) * cloud
        picture[..., i] = channel.clip(0, 255)
    canvas.pixels[:rows] = resize_image(picture, (rows, width))[: len(canvas.pixels)]


def light_ground(canvas: Canvas, style: Style, shadows: list, strength: float, rng) -> None:
    """Gives the flat ground its texture, shadows and haze."""
    height, width = canvas.pixels.shape[:2]
    top = max(int(canvas.camera.horizon), 0) // 2 * 2
    if top >= height - 2:
        return
    t, s = ground(canvas.camera, top, height, width, 2)  # half the canvas's detail is enough
    scale = np.float32(TILE / 8)
    dt, ds = rng.uniform(0, TILE, 2).astype(np.float32)
    down = np.repeat(s * scale + ds, t.shape[1], axis=1)
    whole, fraction = cv2.convertMaps(t * scale + dt, down, cv2.CV_16SC2)
    whole &= TILE - 1  # wraps around, without OpenCV's slow handling of borders
    label = np.ascontiguousarray(canvas.pixels[top::2, ::2, 3])
    warped = cv2.split(cv2.remap(surfaces(style.ground), whole, fraction, cv2.INTER_LINEAR))
    gain = warped[1]
    cv2.copyTo(warped[0], cv2.compare(label, ROAD, cv2.CMP_EQ), gain)
    cv2.copyTo(warped[2], cv2.compare(label, VEGETATION, cv2.CMP_GE), gain)  # and terrain
    fine = 1 - np.clip((s - 12) / 40, 0, 1)  # far texture is too fine to see
    gain = 128 + (gain - np.float32(128)) * fine
    shade = np.full(label.shape, 255, np.uint8)
    dark = int(255 * (0.68 - 0.35 * strength))
    points = project(canvas.camera, np.array(list(chain.from_iterable(shadows))))
    points = np.rint((points - (0, top)) / 2).astype(np.int32)
    start = 0
    for outline in shadows:
        cv2.fillPoly(shade, [points[start : start + len(outline)]], dark)
        start += len(outline)
    shade = cv2.blur(shade, (3, 3))
    lost = 1 - np.exp(-np.minimum(s, FAR) / canvas.visibility)
    gain *= shade * (np.float32(1 / 255) * (1 - lost))
    gain = resize_image(cv2.convertScaleAbs(gain), (height - top, width))
    ones = np.full_like(gain, 128)  # labels stay
    region = canvas.pixels[top:]
    cv2.multiply(region, cv2.merge((gain, gain, gain, ones)), region, scale=1 / 128)
    lost = resize_image(lost, (height - top, 1))[..., None] * (*canvas.haze, 0.0)
    cv2.add(region, np.repeat(lost.astype(np.uint8), width, 1), region)


def wet(rgb: np.ndarray, label: np.ndarray, horizon: float, strength: float) -> np.ndarray:
    """Mirrors what is above the horizon in the road."""
    line = int(np.clip(horizon, 2, len(rgb) - 2))
    rows = np.arange(line, len(rgb))
    mirrored = cv2.blur(rgb[np.clip(2 * line - rows, 0, line)], (3, 15))
    mixed = cv2.addWeighted(rgb[line:], 1 - strength, mirrored, strength, 0)
    out = rgb.copy()
    mask = cv2.compare(label[line:], SIDEWALK, cv2.CMP_LE)
    cv2.copyTo(mixed, mask, out[line:])
    return out


def falling(rgb: np.ndarray, kind: str, rng) -> np.ndarray:
    """Rain as thin slanted streaks or snow as flakes of many sizes."""
    height, width = rgb.shape[:2]
    layer = np.zeros((height, width), np.uint8)
    unit = width / 256
    slant = float(rng.normal(0, 0.25))
    for x, y, size in rng.random((int(rng.integers(80, 260)), 3)):
        at = (int(x * width), int(y * height))
        if kind == "rain":
            long = unit * (4 + 12 * size)
            cv2.line(layer, at, (int(at[0] + slant * long), int(at[1] + long)), int(60 + 70 * size))
        else:
            cv2.circle(layer, at, round(unit * 1.6 * size**2), int(130 + 100 * size), -1)
    layer = cv2.GaussianBlur(layer, (3, 3), 0)
    return cv2.add(rgb, cv2.merge([layer] * 3))


def glow(rgb: np.ndarray, glows: list, scale: float) -> np.ndarray:
    """Adds the light of lamps; `scale` takes canvas positions to the picture's."""
    small = np.zeros((rgb.shape[0] // 2, rgb.shape[1] // 2, 3), np.uint8)
    for x, y, radius, colour in glows:
        at = (int(np.clip(x * scale / 2, -999, 9999)), int(np.clip(y * scale / 2, -999, 9999)))
        cv2.circle(small, at, max(int(min(radius * scale / 2, 12)), 1), colour, -1)
    halo = cv2.blur(cv2.blur(small, (9, 9)), (15, 15))
    light = cv2.addWeighted(cv2.blur(small, (3, 3)), 0.8, halo, 1.3, 0)
    return cv2.add(rgb, resize_image(light, rgb.shape[:2]))


def lens(rgb: np.ndarray, style: Style, dark: float, rng) -> np.ndarray:
    """Exposure, colour grading, blur, vignette and sensor noise; `dark` 0..1 is how much night."""
    draw = {name: float(rng.uniform(*getattr(style, name))) for name in (
        "gain", "contrast", "saturation", "warmth", "blur", "grain", "vignette")}  # fmt: skip
    height, width = rgb.shape[:2]
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    rgb = cv2.addWeighted(rgb, draw["saturation"], grey, 1 - draw["saturation"], 0)
    level = np.arange(256, dtype=np.float32) / 255
    curve = np.empty((256, 1, 3), np.float32)
    for i, tint in enumerate((1 + draw["warmth"], 1.0, 1 - draw["warmth"])):
        value = (level * draw["gain"] * tint - 0.45) * draw["contrast"] + 0.45
        value *= 1 - dark * (0.72, 0.68, 0.58)[i]
        curve[:, 0, i] = value.clip(0, 1) * 255
    rgb = cv2.LUT(rgb, curve.astype(np.uint8))
    sigma = draw["blur"] * width / 256
    if sigma > 0.25:
        rgb = cv2.GaussianBlur(rgb, (0, 0), sigma)
    amount = draw["grain"] * (1 + 0.5 * dark)
    out = _corners(height, width) * np.float32(-draw["vignette"])
    out += 1
    out *= rgb
    y, x = rng.integers(64, size=2)
    static = _static(height + 64, width + 64)[y : y + height, x : x + width]
    return cv2.add(out, static * np.float32(amount), dtype=cv2.CV_8U)


@lru_cache(maxsize=4)
def _corners(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.repeat(((x**2 + y**2) / 2).astype(np.float32)[..., None], 3, axis=2)


@lru_cache(maxsize=4)
def _static(height: int, width: int) -> np.ndarray:
    """Sensor noise of deviation about 1."""
    tile = np.random.default_rng(31).standard_normal((height, width, 3), np.float32)
    return 0.8 * tile + 0.4 * tile.mean(-1, keepdims=True)
