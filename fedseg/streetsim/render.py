"""One picture and its label, from (style, seed, index) alone."""

import zlib

import cv2
import numpy as np

from fedseg.resize import resize_image, resize_label

from .camera import Camera
from .chance import one_of, pick
from .paint import Canvas, fill_street
from .scene import build
from .styles import STYLES, Style
from .texture import mixed, scaled
from .weather import falling, glow, lens, light_ground, sky, wet

SUPERSAMPLE = 2  # canvas pixels along each side of a picture's pixel


def render(
    style: str, seed: int, index: int, size: tuple[int, int] = (192, 256)
) -> tuple[np.ndarray, np.ndarray]:
    """Picture `index` of a style and its label.

    Size is (height, width). Returns the image, uint8 RGB H x W x 3, and the label, uint8 H x W of
    Cityscapes train ids 0..18. Equal arguments give equal arrays, whatever was rendered before.
    Raises ValueError for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}; known: {', '.join(STYLES)}")
    rng = np.random.default_rng([zlib.crc32(style.encode()), seed, index])
    look = STYLES[style]
    weather = pick(look.weather, rng)
    dark = float(rng.uniform(0.35, 0.9)) if rng.random() < look.night else 0.0
    height, width = size
    canvas = _canvas(look, height * SUPERSAMPLE, width * SUPERSAMPLE, weather, dark, rng)
    sun = float(rng.uniform(*look.sun)) * (1 - dark)
    light = (float(rng.choice([-1, 1])), sun if sun > 0.12 else 0.0, float(rng.uniform(0.3, 1.2)))
    scene = build(look, canvas.camera, canvas.pixels.shape[1], weather == "snow", light, rng)
    fill_street(canvas, scene.ground, 0.0)
    light_ground(canvas, look, scene.shadows, light[1], rng)
    for _, paint in scene.items:
        paint(canvas)
    label = resize_label(np.ascontiguousarray(canvas.pixels[..., 3]), size)
    image = resize_image(canvas.pixels, size)
    image = cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)
    if weather == "rain":
        horizon = canvas.camera.horizon / SUPERSAMPLE
        image = wet(image, label, horizon, float(rng.uniform(0.15, 0.5)))
    image = lens(image, look, dark, rng)
    if dark:
        image = glow(image, canvas.glows, 1 / SUPERSAMPLE)
    if weather in ("rain", "snow"):
        image = falling(image, weather, rng)
    return image, label


def _canvas(look: Style, height: int, width: int, weather: str, dark: float, rng) -> Canvas:
    """A canvas with its camera and sky."""
    camera = Camera(
        focal=width * float(rng.uniform(*look.focal)),
        cx=width * float(rng.normal(0.5, 0.04)),
        horizon=height * float(rng.uniform(*look.horizon)),
        height=float(rng.uniform(*look.camera_height)),
        yaw=float(rng.normal(0, 0.03)),
        bend=float(rng.normal(0, look.bend)),
    )
    zenith, low = one_of(look.zenith, rng, 0.06), one_of(look.low_sky, rng, 0.04)
    visibility = float(rng.uniform(*look.visibility))
    if weather == "fog":
        visibility *= 0.35
        zenith = mixed(zenith, low, 0.8)
    canvas = Canvas(
        np.zeros((height, width, 4), np.uint8),
        camera,
        scaled(low, 0.97),
        visibility,
        dark > 0,
    )
    sky(canvas, zenith, low, float(rng.uniform(*look.clouds)), rng)
    return canvas
