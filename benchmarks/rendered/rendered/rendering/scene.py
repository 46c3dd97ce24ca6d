"""A street as a Mitsuba scene."""

from typing import NamedTuple

import numpy as np

from fedseg.classes import CITYSCAPES

from ..labels import (
    BUILDING,
    BUS,
    CAR,
    IGNORE,
    POLE,
    ROAD,
    SIDEWALK,
    SKY,
    TERRAIN,
    TRAFFIC_LIGHT,
    WALL,
)
from ..mesh import Part
from ..street.bend import bend

PLAIN = (*(label for label in range(len(CITYSCAPES)) if label != SKY), IGNORE)
BUCKETS = (
    *((label, "plain") for label in PLAIN),
    (ROAD, "road"),
    (ROAD, "asphalt"),
    (SIDEWALK, "paving"),
    (IGNORE, "paving"),
    (TERRAIN, "grass"),
    (BUILDING, "atlas"),
    (WALL, "wall"),
    *((label, "light") for label in (TRAFFIC_LIGHT, CAR, BUS, POLE)),
)
"""What a scene consists of: always the same, so that Mitsuba compiles once."""
NOTHING = Part(
    np.array([[0, 0, -50.0], [0.1, 0, -50], [0, 0.1, -50]]),
    np.tile([0, 0, 1.0], (3, 1)),
    np.array([[0, 1, 2]]),
    np.full((3, 3), 0.5),
    np.full(3, 0.8),
    np.zeros((3, 2)),
)
"""A triangle out of sight, for a bucket that is empty."""
LAMP_FACES = 2048
"""Triangles of a bucket of lamps at night, for the same reason."""
LAMP_POWER = {POLE: 22, CAR: 6, BUS: 6, TRAFFIC_LIGHT: 1}


class Lens(NamedTuple):
    """Where a camera looks from and to; degrees."""

    position: np.ndarray
    direction: np.ndarray
    roll: float
    field_of_view: float


class Scene(NamedTuple):
    """A Mitsuba scene, and what its shapes are."""

    scene: object
    labels: list[int]  # of each bucket
    glow: dict[int, np.ndarray]  # by bucket, radiance of each triangle (N, 3), for lamps by day


def linear(color):
    """sRGB (approximately) to linear."""
    return np.maximum(color, 0) ** 2.2


class SceneBuilder:
    """Builds scenes with a started Mitsuba."""

    def __init__(self, mitsuba):
        self.mi = mitsuba

    def build(self, street, rng, lens, sky, curvature, hill, size, integrator_depth, samples):
        """The scene of a street; `size` is (height, width)."""
        mi = self.mi
        scene = {
            "type": "scene",
            "integrator": {"type": "path", "max_depth": integrator_depth},
            "sensor": self._sensor(lens, size, samples),
            "env": {
                "type": "envmap",
                "bitmap": mi.Bitmap(sky.radiance),
                "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90),
                "sampling_weight": 1.0,
            },
        }
        materials = self._materials(street, rng)
        power = (6.0 if street.weather == "night" else 2.5) if street.night else 1.2
        parts, labels, glow = street.mesh.merged(), [], {}
        unknown = set(parts) - set(BUCKETS)
        if unknown:
            raise ValueError(f"no bucket for {unknown}")
        for i, (label, material) in enumerate(BUCKETS):
            part = parts.get((label, material))
            if part is None:
                part = NOTHING
            else:
                vertices, normals = bend(part.vertices, part.normals, curvature, hill)
                part = part._replace(vertices=vertices, normals=normals)
            emitter = None
            if material == "light":
                radiance = linear(part.colors[part.faces[:, 0]]) * power
                glow[i] = np.clip(radiance, 0, 40).astype(np.float32)
                if street.night:
                    part = _padded_lamps(part, power, label)
                    emitter = mi.load_dict(
                        {
                            "type": "area",
                            "radiance": {"type": "mesh_attribute", "name": "vertex_color"},
                            "sampling_weight": 0.25,
                        }
                    )
            surface = materials["plain" if material == "light" else material]
            scene[f"m{i:02d}"] = self._mesh(part, surface, emitter)
            labels.append(label)
        return Scene(mi.load_dict(scene), labels, {} if street.night else glow)

    def _sensor(self, lens, size, samples):
        height, width = size
        roll = np.radians(lens.roll)
        transform = self.mi.ScalarTransform4f().look_at(
            lens.position.tolist(),
            (lens.position + lens.direction).tolist(),
            [np.sin(roll), 0, np.cos(roll)],
        )
        return {
            "type": "perspective",
            "fov": lens.field_of_view,
            "fov_axis": "x",
            "near_clip": 0.1,
            "far_clip": 3000.0,
            "to_world": transform,
            "film": {
                "type": "hdrfilm",
                "width": width,
                "height": height,
                "rfilter": {"type": "box"},
                "pixel_format": "rgb",
                "component_format": "float32",
            },
            "sampler": {"type": "independent", "sample_count": samples},
        }

    def _materials(self, street, rng):
        def tile(kind, count):
            return self._bitmap(street.assets.tile(kind, int(rng.integers(count))))

        atlas = street.atlas
        return {
            "plain": self._surface({"type": "mesh_attribute", "name": "vertex_color"}),
            "road": self._surface(self._bitmap(street.road_texture)),
            "asphalt": self._surface(tile("asphalt", 5)),
            "paving": self._surface(tile("paving", 10)),
            "grass": self._surface(tile("grass", 6)),
            "wall": self._surface(tile("wall", 12)),
            "atlas": self._surface(
                self._bitmap(atlas.image), self._bitmap(atlas.roughness, raw=True)
            ),
        }

    def _surface(self, color, roughness=None):
        roughness = roughness or {"type": "mesh_attribute", "name": "vertex_rough"}
        surface = {
            "type": "principled",
            "base_color": color,
            "roughness": roughness,
            "specular": 0.5,
        }
        return self.mi.load_dict({"type": "twosided", "b": surface})

    def _bitmap(self, image, raw=False):
        """A texture; `raw` for values that are not colours."""
        image = image if image.ndim == 3 else image[..., None]
        bitmap = self.mi.Bitmap(np.ascontiguousarray(image))
        bitmap.set_srgb_gamma(not raw)
        return {
            "type": "bitmap",
            "bitmap": bitmap,
            "raw": raw,
            "filter_type": "bilinear",
            "wrap_mode": "repeat",
        }

    def _mesh(self, part, surface, emitter):
        mi = self.mi
        properties = mi.Properties()
        properties["bsdf"] = surface
        if emitter is not None:
            properties["emitter"] = emitter
        mesh = mi.Mesh(
            "m",
            len(part.vertices),
            len(part.faces),
            props=properties,
            has_vertex_normals=True,
            has_vertex_texcoords=True,
        )
        color = part.colors if emitter is not None else np.clip(part.colors, 0.01, 0.93)
        mesh.add_attribute("vertex_color", 3, linear(color).astype(np.float32).ravel())
        mesh.add_attribute("vertex_rough", 1, part.roughness.astype(np.float32).ravel())
        parameters = mi.traverse(mesh)
        parameters["vertex_positions"] = part.vertices.astype(np.float32).ravel()
        parameters["vertex_normals"] = part.normals.astype(np.float32).ravel()
        parameters["vertex_texcoords"] = part.uv.astype(np.float32).ravel()
        parameters["faces"] = part.faces.astype(np.uint32).ravel()
        parameters.update()
        return mesh


def _padded_lamps(part, power, label):
    """Lamps that shine at night: their colours are radiance; with LAMP_FACES triangles."""
    missing = LAMP_FACES - len(part.faces)
    if missing <= 0:
        raise ValueError(f"more than {LAMP_FACES} triangles of lamps of label {label}")
    radiance = linear(part.colors) * power * LAMP_POWER[label]
    radiance = np.clip(radiance, 0, 150) ** (1 / 2.2)
    first = len(part.vertices)
    return Part(
        np.concatenate([part.vertices, NOTHING.vertices]),
        np.concatenate([part.normals, NOTHING.normals]),
        np.concatenate([part.faces, np.tile(NOTHING.faces + first, (missing, 1))]),
        np.concatenate([radiance, NOTHING.colors * 0.01]),
        np.concatenate([part.roughness, NOTHING.roughness]),
        np.concatenate([part.uv, NOTHING.uv]),
    )
