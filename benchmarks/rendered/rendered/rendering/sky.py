"""Skies: a sky's radiance in every direction, and how far one sees."""

from typing import NamedTuple

import cv2
import numpy as np

from ..chance import draw
from ..textures.noise import fractal_noise

SIZE = (256, 512)
"""Rows (elevation) and columns (azimuth) of a sky."""
GROUND_COLOR = np.array([0.16, 0.155, 0.15])

# A table has a value for each weather: a number, or a range to draw from.
SUN_ELEVATION = {
    "clear": (22, 68),
    "cloudy": (25, 60),
    "overcast": (30, 70),
    "low": (9, 24),
    "hazy": (20, 55),
    "rain": (30, 60),
    "fog": (20, 50),
    "dusk": (-2, 3),
    "night": -0.3,
}
"""Degrees."""
ZENITH_AND_HORIZON = {
    "clear": ((0.14, 0.29, 0.60), (0.66, 0.77, 0.90)),
    "cloudy": ((0.16, 0.28, 0.52), (0.7, 0.76, 0.84)),
    "low": ((0.16, 0.25, 0.45), (0.86, 0.72, 0.56)),
    "hazy": ((0.52, 0.60, 0.70), (0.86, 0.87, 0.86)),
    "overcast": ((0.72, 0.76, 0.82), (0.74, 0.76, 0.78)),
    "rain": ((0.46, 0.49, 0.53), (0.62, 0.64, 0.66)),
    "fog": ((0.7, 0.71, 0.72), (0.74, 0.75, 0.75)),
    "dusk": ((0.05, 0.08, 0.17), (0.50, 0.30, 0.20)),
    "night": ((0.004, 0.006, 0.013), (0.022, 0.02, 0.02)),
}
"""Radiance."""
GLOW = {
    "clear": 0.35,
    "cloudy": 0.3,
    "low": 0.8,
    "hazy": 0.6,
    "overcast": 0.15,
    "rain": 0.05,
    "fog": 0.12,
    "dusk": 0.5,
    "night": 0,
}
"""Around the sun."""
CLOUD_COVER = {
    "clear": (-1.6, 0.2),
    "cloudy": (0.2, 0.9),
    "low": (-1.2, 0.4),
    "hazy": (-0.8, 0.5),
    "overcast": 1.5,
    "rain": 1.6,
    "fog": 2.5,
    "dusk": (-0.6, 0.5),
    "night": -1,
}
"""Added to noise of variance 1; a cloud is where the sum is positive."""
SUN_IRRADIANCE = {
    "clear": (5, 8),
    "cloudy": (2.5, 5),
    "low": (2.5, 4.5),
    "hazy": (0.6, 2.0),
    "overcast": (0, 0.35),
    "rain": 0,
    "fog": 0,
    "dusk": 0.0,
    "night": 0,
}
VISIBILITY = {
    "clear": (900, 3000),
    "cloudy": (900, 3000),
    "low": (350, 1200),
    "hazy": (180, 500),
    "overcast": (400, 2000),
    "rain": (140, 400),
    "fog": (35, 90),
    "dusk": (400, 1500),
    "night": (800, 3000),
}
"""Metres in which a view fades to 1 / e."""


class Sky(NamedTuple):
    """A sky, the colour of its fog, and the visibility in metres."""

    radiance: np.ndarray  # (256, 512, 3): azimuth from +y towards +x, elevation from the zenith
    fog: np.ndarray  # (3,)
    visibility: float


class Skies:
    """Makes skies; fields of clouds are kept."""

    def __init__(self):
        self._clouds = {}

    def cloud_field(self, i):
        """The i-th tileable field of clouds (1024, 1024)."""
        if i not in self._clouds:
            rng = np.random.default_rng([3, i])
            self._clouds[i] = fractal_noise(rng, 1024, 1024, 4, 7, 0.58, True)
        return self._clouds[i]

    def sky(self, rng, weather):
        """A sky of a weather."""
        direction, cos_elevation = _directions()
        elevation, sun = _sun(rng, weather)
        angle_to_sun = np.clip(direction @ sun, -1, 1)  # its cosine
        up = np.clip(direction[..., 2], 0, 1)
        towards_horizon = ((1 - up) ** rng.uniform(2.2, 4.5))[..., None]
        zenith, horizon = (np.array(color) for color in ZENITH_AND_HORIZON[weather])
        zenith = zenith * rng.normal(1, 0.06, 3)
        horizon = horizon * rng.normal(1, 0.03, 3)
        radiance = zenith * (1 - towards_horizon) + horizon * towards_horizon
        halo = np.exp(-(1 - angle_to_sun) * 7) + 0.5 * np.exp(-(1 - angle_to_sun) * 60)
        radiance = radiance + GLOW[weather] * halo[..., None] * np.array([1, 0.92, 0.78])
        radiance = self._with_clouds(rng, weather, radiance, direction, up, horizon, angle_to_sun)
        lower = GROUND_COLOR * radiance[: SIZE[0] // 2].mean()
        radiance = np.where(direction[..., 2:] < -0.02, lower, radiance)
        irradiance = draw(rng, SUN_IRRADIANCE, weather)
        if irradiance > 0 and sun[2] > 0.02:
            disc = _sun_disc(weather, elevation, angle_to_sun, cos_elevation)
            radiance = radiance + disc[0][..., None] * irradiance * disc[1]
        fog = radiance[int(SIZE[0] * 0.47) : SIZE[0] // 2].clip(0, 1.5).mean((0, 1))
        visibility = draw(rng, VISIBILITY, weather)
        return Sky(np.ascontiguousarray(radiance, np.float32), fog, visibility)

    def _with_clouds(self, rng, weather, radiance, direction, up, horizon, angle_to_sun):
        cover = draw(rng, CLOUD_COVER, weather)
        field = self.cloud_field(int(rng.integers(6)))
        scale, slant = rng.uniform(70, 160), up + 0.12
        x = ((direction[..., 0] / slant * scale + rng.uniform(0, 1024)) % 1023).astype(np.float32)
        y = ((direction[..., 1] / slant * scale + rng.uniform(0, 1024)) % 1023).astype(np.float32)
        noise = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        opacity = np.clip((noise + cover) * 1.1, 0, 1) * np.clip(up * 9, 0, 1)
        dull = weather in ("rain", "dusk", "night")
        color = horizon * 1.05 + 0.0 if dull else np.array([0.95, 0.96, 0.98])
        if weather in ("overcast", "fog"):
            color = horizon * 1.02
        cloud = color * (1 - np.clip((noise + cover - 0.6) * 0.30, -0.1, 0.42))[..., None]
        if weather == "dusk":
            cloud = horizon * (0.5 + 0.6 * np.exp(-(1 - angle_to_sun) * 2))[..., None]
        if weather == "night":
            cloud = np.broadcast_to(horizon * 0.8, radiance.shape)
        thick = 0.92 if weather in ("overcast", "rain", "fog") else 0.85
        return radiance * (1 - thick * opacity[..., None]) + thick * opacity[..., None] * cloud


def _directions():
    """Unit vectors (256, 512, 3) of a sky's pixels, and cosines of their elevations (256, 1)."""
    rows, columns = SIZE
    elevation = (np.pi / 2 - (np.arange(rows) + 0.5) / rows * np.pi)[:, None]
    azimuth = ((np.arange(columns) + 0.5) / columns * 2 * np.pi)[None]
    x, y = np.cos(elevation) * np.sin(azimuth), np.cos(elevation) * np.cos(azimuth)
    return np.stack(np.broadcast_arrays(x, y, np.sin(elevation)), -1), np.cos(elevation)


def _sun(rng, weather):
    """The sun's elevation in radians, and the unit vector towards it."""
    elevation = np.radians(draw(rng, SUN_ELEVATION, weather))
    azimuth = rng.uniform(0, 2 * np.pi)
    if weather == "dusk":  # before the camera
        azimuth = rng.normal(0, 0.9)
    flat = np.cos(elevation)
    return elevation, np.array([flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation)])


def _sun_disc(weather, elevation, angle_to_sun, cos_elevation):
    """The sun's disc (256, 512), of integral 1 over solid angles, and its colour."""
    rows, columns = SIZE
    color = np.exp(-np.array([0.10, 0.22, 0.42]) / max(np.sin(elevation), 0.12) * 0.8)
    color /= color.max()
    width = 0.010 if weather in ("clear", "low", "cloudy") else 0.05
    disc = np.exp(-((np.arccos(angle_to_sun) / width) ** 2) / 2)
    solid_angle = (np.pi / rows) * (2 * np.pi / columns) * cos_elevation
    return disc / ((disc * solid_angle).sum() + 1e-9), color
