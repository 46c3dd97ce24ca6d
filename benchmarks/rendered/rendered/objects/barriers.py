"""Walls and fences, from the origin along +y."""

import numpy as np

from ..chance import draw, one_of, pick
from ..labels import FENCE, WALL
from ..shapes import CUBE

WALL_COLORS = (
    (0.45, 0.26, 0.2),
    (0.55, 0.5, 0.42),
    (0.62, 0.6, 0.56),
    (0.5, 0.38, 0.28),
    (0.4, 0.4, 0.4),
)
FENCES = (("bars", 3), ("planks", 2), ("rail", 2), ("picket", 2), ("mesh", 2))
FENCE_HEIGHTS = {
    "bars": (1.1, 2.2),
    "planks": (1.4, 2.0),
    "rail": (0.9, 1.15),
    "picket": (0.9, 1.2),
    "mesh": (1.4, 2.4),
}
FENCE_COLORS = {
    "bars": (0.07, 0.08, 0.08),
    "planks": (0.42, 0.30, 0.2),
    "rail": (0.45, 0.46, 0.47),
    "picket": (0.82, 0.82, 0.8),
    "mesh": (0.35, 0.4, 0.36),
}


def wall(mesh, rng, length, height):
    """A wall with a coping and piers."""
    thickness = 0.28
    color = np.array(one_of(rng, WALL_COLORS)) * rng.uniform(0.85, 1.15)
    u, v = length / 3.0, height / 3.0
    uv = np.array([[0, 0], [u, 0], [u, v], [0, v]])
    for x in (-thickness / 2, thickness / 2):
        corners = (x, 0, 0), (x, length, 0), (x, length, height), (x, 0, height)
        mesh.quad(WALL, corners, color, 0.9, uv, "wall")
    coping = (0, length / 2, height + 0.03)
    mesh.box(WALL, coping, (thickness + 0.1, length, 0.1), color * 0.8 + 0.08, 0.9)
    for y in (0, length):
        mesh.box(WALL, (0, y, height / 2), (thickness + 0.02, 0.02, height), color * 0.8, 0.9)
    for y in np.arange(0, length, 3.2):
        pier = (0, min(y, length), height / 2 + 0.06)
        mesh.box(WALL, pier, (thickness + 0.14, 0.42, height + 0.12), color * 0.85, 0.9)


def fence(mesh, rng, length, height=None, kind=None):
    """A fence of a kind of FENCES, or of any kind."""
    kind = kind or pick(rng, FENCES)
    height = height or draw(rng, FENCE_HEIGHTS, kind)
    color = np.array(FENCE_COLORS[kind]) * rng.uniform(0.75, 1.15)
    if kind == "bars" and rng.random() < 0.3:
        color = np.array([0.1, 0.22, 0.14])
    Fence(mesh, rng, length, height, color).build(kind)


class Fence:
    """A fence while it is built."""

    def __init__(self, mesh, rng, length, height, color):
        self.mesh, self.rng = mesh, rng
        self.length, self.height, self.color = length, height, color

    def build(self, kind):
        """Draws posts, rails and what fills them."""
        {
            "bars": self._bars,
            "planks": self._planks,
            "picket": self._picket,
            "rail": self._rail,
            "mesh": self._wire,
        }[kind]()

    def _upright(self, spacing, size, bottom, top, end=0.0):
        """Bars at every `spacing` metres; `size` is their width and depth."""
        y = np.arange(0, self.length + end, spacing)
        vertices, normals, faces = CUBE
        count = len(y)
        center = np.stack([np.zeros(count), y, np.full(count, (bottom + top) / 2)], -1)
        width, depth = size
        vertices = vertices[None] * np.array([depth, width, top - bottom]) + center[:, None]
        faces = (faces[None] + 24 * np.arange(count)[:, None, None]).reshape(-1, 3)
        color = self.color[None] * self.rng.uniform(0.85, 1.1, (count, 1))
        self.mesh.add(
            FENCE,
            vertices.reshape(-1, 3),
            faces,
            np.repeat(color, 24, 0),
            0.7,
            np.tile(normals, (count, 1)),
        )

    def _bars(self):
        self._upright(0.13, (0.028, 0.028), 0.08, self.height)
        for z in (0.15, self.height - 0.12):
            center = (0, self.length / 2, z)
            self.mesh.box(FENCE, center, (0.045, self.length, 0.05), self.color, 0.6)
        self._upright(2.4, (0.08, 0.08), 0, self.height + 0.1, 0.1)

    def _planks(self):
        self._upright(0.15, (0.135, 0.025), 0.05, self.height)
        self._upright(2.2, (0.1, 0.12), 0, self.height + 0.05, 0.1)

    def _picket(self):
        self._upright(0.14, (0.08, 0.025), 0.08, self.height)
        for z in (0.3, self.height - 0.25):
            center = (0.03, self.length / 2, z)
            self.mesh.box(FENCE, center, (0.04, self.length, 0.08), self.color * 0.9, 0.7)

    def _rail(self):
        for z in (self.height, self.height * 0.55, self.height * 0.15):
            end = (0, self.length, z)
            self.mesh.cylinder(FENCE, (0, 0, z), end, 0.03, 0.03, self.color, 0.4, 6)
        self._upright(1.8, (0.06, 0.06), 0, self.height, 0.1)
        if self.rng.random() < 0.5:
            self._upright(0.14, (0.02, 0.02), 0.15 * self.height, self.height)

    def _wire(self):
        self._upright(2.5, (0.07, 0.07), 0, self.height, 0.1)
        self._upright(0.10, (0.012, 0.012), 0.05, self.height)
        for z in np.linspace(0.06, self.height, int(self.height / 0.12)):
            center = (0, self.length / 2, z)
            self.mesh.box(FENCE, center, (0.012, self.length, 0.012), self.color, 0.6)
