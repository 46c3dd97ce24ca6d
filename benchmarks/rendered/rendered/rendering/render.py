"""Renders image and labels of a street."""

import gc
from typing import NamedTuple

import numpy as np

from ..labels import IGNORE, SKY, TERRAIN, VEGETATION
from ..street.assets import Assets
from ..street.build import build
from .camera import photograph
from .denoise import denoise
from .scene import Lens, SceneBuilder
from .sky import Skies

SIZE = (240, 320)
"""Height and width of an image."""
SAMPLES = 10
"""Paths for each pixel."""
DEPTH = 3
"""Of a path: the sun's or sky's light, and that of one more surface."""


class Rendered(NamedTuple):
    """An image with its labels."""

    image: np.ndarray  # (H, W, 3), uint8 RGB
    labels: np.ndarray  # (H, W), uint8 trainIds, 255 ignored
    weather: str


class Renderer:
    """Renders images of a world; keeps what they share."""

    def __init__(self, world, mitsuba, drjit, size=SIZE, samples=SAMPLES):
        self.world, self.mi, self.dr = world, mitsuba, drjit
        self.size, self.samples = size, samples
        self.assets = Assets(world)
        self.skies = Skies()
        self.builder = SceneBuilder(mitsuba)

    def render(self, number):
        """The image of a number: the same on every call and machine, to rounding."""
        world = self.world
        rng = np.random.default_rng([number, 101 * world.number])
        street = build(world, rng, self.assets)
        curvature, hill = _course(rng, world)
        sky = self.skies.sky(rng, street.weather)
        lens = _lens(rng, street, curvature)
        scene = self.builder.build(
            street, rng, lens, sky, curvature, hill, self.size, DEPTH, self.samples
        )
        radiance, labels = self._trace(scene, sky, number & 0x7FFFFFFF)
        image = photograph(rng, world, street.weather, radiance, labels)
        if rng.uniform() < 0.25:
            image, labels = image[:, ::-1], labels[:, ::-1]
        del scene
        gc.collect()  # or Dr.Jit numbers its objects anew and compiles again
        return Rendered(np.ascontiguousarray(image), np.ascontiguousarray(labels), street.weather)

    def _trace(self, scene, sky, seed):
        """Radiance (H, W, 3) with fog and lamps, and labels (H, W)."""
        mi, dr = self.mi, self.dr
        noisy = np.array(mi.render(scene.scene, spp=self.samples, seed=seed))[..., :3]
        features = mi.load_dict(
            {"type": "aov", "aovs": "al:albedo,nn:sh_normal,dd:depth"}
        )  # with the same seed: at the same places within each pixel
        features = np.array(
            mi.render(scene.scene, integrator=features, spp=self.samples, seed=seed)
        )[..., -7:]
        shapes = scene.scene.shapes()
        buckets = [int(shape.id()[1:]) for shape in shapes]
        handles = [
            dr.reinterpret_array(mi.UInt32, mi.ShapePtr(shape)).numpy()[0] for shape in shapes
        ]
        table = np.full(max(handles) + 1, IGNORE, np.uint8)
        for handle, bucket in zip(handles, buckets, strict=True):
            table[handle] = scene.labels[bucket]
        table[0] = SKY
        center = self._rays(scene.scene, 0.5, 0.5)
        labels = table[np.array(dr.reinterpret_array(mi.UInt32, center.shape))]
        labels = labels.reshape(self.size)
        labels[~np.array(center.is_valid()).reshape(self.size)] = SKY
        radiance = denoise(
            noisy, features[..., :3], features[..., 3:6], features[..., 6], labels == SKY
        )
        radiance = _with_leaf_texture(radiance, noisy, labels)
        lamps = {
            handle: scene.glow[bucket]
            for handle, bucket in zip(handles, buckets, strict=True)
            if bucket in scene.glow
        }
        return self._through_air(scene.scene, radiance, sky, lamps), labels

    def _rays(self, scene, x, y):
        """What is hit by a ray through (x, y) of each pixel; 0.5, 0.5 is its centre."""
        mi = self.mi
        height, width = self.size
        rows, columns = np.mgrid[0:height, 0:width]
        film = mi.Point2f(
            mi.Float(((columns + x) / width).ravel().astype(np.float32)),
            mi.Float(((rows + y) / height).ravel().astype(np.float32)),
        )
        ray, _ = scene.sensors()[0].sample_ray(0.0, 0.5, film, mi.Point2f(0.5))
        return scene.ray_intersect_preliminary(ray, coherent=True)

    def _through_air(self, scene, radiance, sky, lamps):
        """Adds fog by distance and, by day, the light of `lamps` (by shape, by triangle)."""
        mi, dr = self.mi, self.dr
        pixels = self.size[0] * self.size[1]
        clear, glow = np.zeros(pixels, np.float32), np.zeros((pixels, 3), np.float32)
        for quarter in range(4):
            hit = self._rays(scene, 0.25 + 0.5 * (quarter % 2), 0.25 + 0.5 * (quarter // 2))
            distance, valid = np.array(hit.t), np.array(hit.is_valid())
            seen = np.exp(-np.where(valid, distance, 0) / sky.visibility)
            clear += np.where(valid, seen, 1.0) / 4
            if not lamps:
                continue
            shape = np.array(dr.reinterpret_array(mi.UInt32, hit.shape))
            triangle = np.array(hit.prim_index)
            for handle, of_triangle in lamps.items():
                where = np.nonzero(shape == handle)[0]
                if len(where):
                    glow[where] += of_triangle[triangle[where]] / 4
        clear = clear.reshape(*self.size, 1)
        return (radiance + glow.reshape(*self.size, 3)) * clear + sky.fog * (1 - clear)


def _course(rng, world):
    """The street's curvature and hill, for `bend`."""
    curvature = 0.0
    if rng.uniform() >= world.straight:
        curvature = rng.choice([-1, 1]) / rng.uniform(90, 500)
    hill = None
    if rng.uniform() >= 0.55:
        hill = rng.choice([-1, 1]) * rng.uniform(0.5, 4.0), rng.uniform(90, 190)
    return curvature, hill


def _lens(rng, street, curvature):
    world = street.world
    field_of_view = rng.uniform(58, 86)
    yaw = rng.normal(0, 4.0)
    pitch = rng.normal(world.pitch, 2.2)
    pitch -= world.pitch_by_height * max(0, street.camera_height - 1.9)
    roll = rng.normal(0, 0.7)
    if rng.uniform() < 0.10:
        yaw += rng.choice([-1, 1]) * rng.uniform(8, 22)
    if curvature:  # look where the street goes
        yaw += np.degrees(np.clip(curvature * 9, -0.15, 0.15)) * 0.8
    yaw, pitch = np.radians(yaw), np.radians(pitch)
    direction = [np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)]
    position = np.array([street.camera_x, 0, street.camera_height])
    return Lens(position, np.array(direction), roll, field_of_view)


def _with_leaf_texture(radiance, noisy, labels):
    """Plants keep some of the noise that the filter took for their leaves."""
    plants = ((labels == VEGETATION) | (labels == TERRAIN))[..., None] * 0.6
    leaves = np.minimum(np.nan_to_num(noisy), 3 * radiance + 0.05)
    return radiance * (1 - plants) + leaves * plants
