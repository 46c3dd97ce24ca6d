"""From radiance to a photograph: exposure, white balance, lens, tone curve, noise."""

import cv2
import numpy as np

from ..labels import SKY
from .denoise import median

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def photograph(rng, world, weather, radiance, labels):
    """An image (H, W, 3), uint8 sRGB, of a radiance (H, W, 3) with labels (H, W)."""
    image = np.nan_to_num(np.clip(radiance, 0, 60)).astype(np.float32)
    solid = labels != SKY
    image = _without_specks(image, solid)
    image = _exposed(rng, world, weather, image, solid)
    image = _white_balanced(rng, world, image, solid)
    image = _through_lens(rng, image)
    image, saturation = TONES[world.tone](rng, world, image)
    luma = (image @ LUMA)[..., None]
    image = (luma + (image - luma) * saturation).astype(np.float32)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.25, 0.6))
    noise = rng.standard_normal(image.shape).astype(np.float32) * rng.uniform(0.003, 0.012)
    image = image + noise * (1.5 if weather in ("dusk", "night") else 1)
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


def _without_specks(image, solid):
    """Pixels much brighter than their neighbours become as bright as these."""
    middle = median(image)
    bright = image.mean(-1, keepdims=True) > 4 * middle.mean(-1, keepdims=True) + 0.3
    return np.where(bright & solid[..., None], middle, image)


def _exposed(rng, world, weather, image, solid):
    """Scaled so that the mean brightness, mostly of what is not sky, is the world's."""
    luminance = image @ LUMINANCE
    of_solid = np.exp(np.log(luminance[solid] + 1e-3).mean()) if solid.any() else 0.2
    of_all = np.exp(np.log(np.clip(luminance, 1e-3, 2)).mean())
    wanted = world.draw(rng, world.exposure) * {"night": 0.32, "dusk": 0.55}.get(weather, 1)
    return image * wanted / (of_solid**0.65 * of_all**0.35)


def _white_balanced(rng, world, image, solid):
    tint = rng.normal(1, 0.025, 3).astype(np.float32) * np.array(world.white_balance, np.float32)
    mean = np.clip(image.reshape(-1, 3)[solid.ravel()].mean(0), 1e-3, None)
    towards_grey = (mean.mean() / mean) ** world.color_constancy
    return image * tint * towards_grey.astype(np.float32)


def _through_lens(rng, image):
    """Darker corners, and light that is scattered in the lens."""
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = 1 - rng.uniform(0, 0.28) * (x**2 + y**2) / 2
    image = image * vignette[..., None].astype(np.float32)
    scattered = cv2.GaussianBlur(np.clip(image, 0, 4), (0, 0), 7)
    return image * 0.965 + scattered * rng.uniform(0.02, 0.05)


def _s_curve(image, strength):
    return image * (1 - strength) + strength * (image * image * (3 - 2 * image))


def _contrasty(rng, world, image):
    """A film-like curve (Narkowicz' fit of ACES) or an exponential one, with more contrast."""
    if rng.uniform() < 0.7:
        curve = image * (2.51 * image + 0.03) / (image * (2.43 * image + 0.59) + 0.14)
        image = np.clip(curve * 1.0, 0, 1)
    else:
        image = 1 - np.exp(-1.5 * image)
    image = _s_curve(image ** (1 / 2.2), rng.uniform(0.25, 0.6))
    return image, rng.uniform(*world.saturation)


def _flat(rng, world, image):
    """An exponential curve with lifted shadows."""
    image = np.clip(1 - np.exp(-1.45 * image), 0, 1) ** (1 / 2.1)
    return 0.03 + 0.96 * image, rng.uniform(*world.saturation)


def _soft(rng, world, image):
    """Reinhard's curve, little contrast."""
    image = np.clip(image * (1 + image / 6.0) / (1 + image) * 1.15, 0, 1) ** (1 / 2.2)
    image = _s_curve(image, rng.uniform(0.0, 0.25))
    return image, rng.uniform(*world.saturation)


TONES = {"contrasty": _contrasty, "flat": _flat, "soft": _soft}
"""By name: the image in [0, 1] and its saturation."""
