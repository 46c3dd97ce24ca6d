"""The measures of a street, and what has been built of it."""

import numpy as np

from ..chance import happens, pick
from ..mesh import Mesh
from .facade_atlas import FacadeAtlas

KERB = 0.13
"""Height of the sidewalk."""
START, END = -36.0, 190.0
"""Where the street begins and ends along y; the camera is at 0."""
PARKING_LANE = 2.25
SIDES = (-1, 1)
"""Left and right."""


class Street:
    """A street of a world; `build` in build.py fills it."""

    def __init__(self, world, rng, assets):
        self.world, self.rng, self.assets = world, rng, assets
        self.mesh = Mesh()
        self.occupied = []  # (x, y, half width, half length) of what is on the road
        self.atlas = FacadeAtlas(self)
        self._draw_road()
        self._draw_light()
        self._draw_camera()
        self.crossings = self._draw_crossings()

    def _draw_road(self):
        rng, world = self.rng, self.world
        self.lanes = world.draw_lanes(rng)
        self.lane_width = world.draw(rng, world.lane_width)
        self.parking = [rng.uniform() < probability for probability in world.parking]
        self.tram = happens(rng, world.trams)
        self.median = 0.0
        if self.lanes >= 2 and happens(rng, world.medians):
            self.median = rng.uniform(1.5, 4.0)
        if world.spare_numbers and self.tram:
            rng.uniform()
        self.half_lanes = self.lanes * self.lane_width + self.median / 2
        margin = PARKING_LANE if any(self.parking) else 0.4
        self.half_width = self.half_lanes + (margin if rng.uniform() < 0.8 else 0.4)
        self.sidewalk = [rng.uniform(*world.sidewalk_width) for _ in SIDES]
        self.verge = [rng.uniform(1.2, 2.6) if happens(rng, world.verges) else 0.0 for _ in SIDES]
        self.house_height = rng.uniform(12, 20)
        track = self.median / 2 + self.lane_width * 0.5 + 0.02
        self.tracks = (track, -track)

    def _draw_light(self):
        rng, world = self.rng, self.world
        self.night = happens(rng, world.night)
        self.weather = pick(rng, world.weather)
        if self.night:
            self.weather = "dusk" if rng.uniform() < 0.55 else "night"
        self.ground_roughness = rng.uniform(0.16, 0.34) if self.weather == "rain" else 0.85
        self.kerb_color = np.array([0.55, 0.54, 0.52]) * rng.uniform(0.75, 1.15)
        self.paving_tile = rng.uniform(3.0, 4.5)

    def _draw_camera(self):
        rng, world = self.rng, self.world
        lane = self.lanes - 1 if rng.uniform() < 0.6 else int(rng.integers(self.lanes))
        self.camera_x = self.median / 2 + (lane + 0.5) * self.lane_width + rng.normal(0, 0.35)
        if self.lanes == 1 and rng.uniform() < 0.12:
            self.camera_x = rng.uniform(-0.6, 0.6)
        high, heights = world.high_camera
        low = not high or rng.uniform() < 1 - high
        self.camera_height = rng.uniform(*(world.camera_height if low else heights))

    def _draw_crossings(self):
        """(y, width) of the streets that cross this one."""
        rng, world = self.rng, self.world
        crossings = []
        y = world.draw(rng, world.first_crossing)
        while y < 165:
            width = rng.uniform(*world.crossing_width)
            crossings.append((y, width))
            y += width + rng.uniform(*world.crossing_spacing)
        return crossings

    def on_block(self, y, margin=1.5):
        """Whether y is farther than `margin` from every crossing street."""
        return all(abs(y - at) > width / 2 + margin for at, width in self.crossings)

    def distance(self, along):
        """From the camera to the point `along` the present place's y axis."""
        x, y, _ = self.mesh.to_street((0, along, 0))
        return np.hypot(x - self.camera_x, y)

    def detail(self, along):
        """Level of detail of a plant there."""
        if self.mesh.to_street((0, along, 0))[1] <= -4:
            return 2
        distance = self.distance(along)
        return 0 if distance < 18 else 1 if distance < 40 else 2

    def claim(self, x, y, half_width, half_length):
        """Takes a rectangle of the road, if it is free and does not hide the view."""
        near = abs(x - self.camera_x) < half_width + 1.25
        if near and -half_length - 3.5 < y < half_length + 3.2:
            return False
        for other_x, other_y, other_width, other_length in self.occupied:
            beside = abs(x - other_x) < half_width + other_width + 0.25
            if beside and abs(y - other_y) < half_length + other_length + 0.5:
                return False
        self.occupied.append((x, y, half_width, half_length))
        return True
