"""A whole scene: what stands where."""

from functools import partial

from .buildings import skyline
from .camera import FAR, NEAR, Camera
from .chance import one_of
from .items import Scene, box
from .labels import SIDEWALK, TERRAIN, VEGETATION
from .road import draw_plan, road
from .roadside import roadside
from .styles import Style
from .texture import mixed
from .traffic import traffic


def build(
    style: Style, camera: Camera, width: int, snow: bool, light: tuple[float, float, float], rng
) -> Scene:
    """A scene of the style; `light` is the sun's side (-1 or 1), strength and shadow length."""
    scene = Scene(camera, width, [], [], [])
    plan = draw_plan(style, rng)
    grass_label = TERRAIN if style.grass == "terrain" else VEGETATION
    leaves = one_of(style.leaves, rng)
    grass = mixed(leaves, (150, 140, 90), float(rng.uniform(0.0, 0.5)))
    paving = one_of(style.paving, rng, 0.12)
    grey = float(rng.uniform(*style.asphalt))
    asphalt = (grey, grey * float(rng.uniform(0.97, 1.02)), grey * float(rng.uniform(0.96, 1.06)))
    if snow:
        grass, paving, asphalt = (
            mixed(c, (225, 230, 238), w)
            for c, w in ((grass, 0.9), (paving, 0.7), (asphalt, float(rng.uniform(0.1, 0.55))))
        )
    ground = grass if style.grass == "terrain" and rng.random() < 0.35 else paving
    base = grass_label if ground is grass else SIDEWALK
    scene.ground.append((box(-300, 300, NEAR, FAR), ground, base))
    for side in (-1, 1):
        roadside(scene, style, plan, side, (grass_label, grass, paving, leaves), light, rng)
    road(scene, style, plan, asphalt, (grass_label, grass), rng)
    skyline(scene, style, plan.end, rng, partial(one_of, style.walls, rng, 0.15), leaves)
    traffic(scene, style, plan, light, rng)
    scene.items.sort(key=lambda item: -item[0])
    return scene
