"""Trees, hedges and bushes: dark cores in a cloud of leaves.

The level of detail is 0 for near, 1 for middle and 2 for far plants.
"""

import numpy as np

from ..chance import one_of
from ..labels import VEGETATION
from ..mesh import Mesh
from ..shapes import rotation_z

GREENS = tuple(
    tuple(1.36 * value for value in color)
    for color in (
        (0.20, 0.30, 0.10),
        (0.25, 0.34, 0.12),
        (0.16, 0.27, 0.10),
        (0.30, 0.36, 0.14),
        (0.22, 0.30, 0.15),
        (0.34, 0.34, 0.14),
        (0.14, 0.23, 0.09),
        (0.27, 0.38, 0.10),
    )
)
AUTUMN = ((0.62, 0.44, 0.14), (0.58, 0.30, 0.11), (0.54, 0.46, 0.18))
FLOWERS = ((0.75, 0.2, 0.35), (0.85, 0.8, 0.75), (0.8, 0.65, 0.1), (0.5, 0.3, 0.7))
CORES = ((8, 6), (6, 5), (5, 4))
"""Patches of the ellipsoids inside a plant, by level of detail."""
TEMPLATES = 14


def unit(vectors):
    """Vectors (N, 3) made as long as 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def add_leaves(mesh, rng, centers, outward, size, color, variation, roughness):
    """Adds a four-sided leaf at each of `centers` (N, 3), facing roughly `outward` (N, 3)."""
    count = len(centers)
    facing = unit(outward + rng.normal(0, 0.7, (count, 3)))
    u = np.cross(facing, rng.normal(size=(count, 3)))
    u /= np.linalg.norm(u, axis=1, keepdims=True) + 1e-9
    v = np.cross(facing, u)
    size = size * rng.uniform(0.6, 1.3, (count, 1))
    corners = [
        centers - u * size,
        centers + v * size * 0.6,
        centers + u * size,
        centers - v * size * 0.6,
    ]
    # Shaded as part of the crown rather than one by one: normals lean outwards.
    normals = outward * 0.8 + facing * 0.4
    away = (normals * facing).sum(1, keepdims=True) < 0
    normals = unit(np.where(away, facing, normals))
    first = np.arange(count)[:, None] * 4
    faces = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]])
    color = color * (1 + variation * rng.normal(size=(count, 1)))
    color = np.clip(color * (1 + 0.06 * rng.normal(size=(count, 3))), 0.01, 0.9)
    vertices = np.stack(corners, 1).reshape(-1, 3)
    mesh.add(
        VEGETATION, vertices, faces, np.repeat(color, 4, 0), roughness, np.repeat(normals, 4, 0)
    )


def tree(rng, kind, detail, color):
    """A tree of 7 to 10 metres as a mesh: "round", "tall", "conifer" or "bare"."""
    mesh = Mesh()
    bark = np.array([0.26, 0.21, 0.17]) * rng.uniform(0.6, 1.2)
    color = np.array(one_of(rng, GREENS) if color is None else color) * rng.uniform(0.9, 1.2)
    leaves, size = ((5400, 0.088), (2000, 0.145), (340, 0.36))[detail]
    if kind == "bare":
        up = np.array([0, 0, 1.0])
        _branch(mesh, rng, bark, 5 if detail == 0 else 4, np.zeros(3), up, 2.6, 0.17, 0)
        return mesh
    height = rng.uniform(7, 10.5)
    if kind == "conifer":
        _conifer(mesh, rng, height, leaves, size, color, bark)
    else:
        _broadleaf(mesh, rng, kind, detail, height, leaves, size, color, bark)
    return mesh


def _branch(mesh, rng, bark, last, start, direction, length, radius, depth):
    """A branch and, up to depth `last`, the branches that grow from it."""
    sides = 5 if depth < 2 else 3
    end = start + direction * length
    mesh.cylinder(VEGETATION, start, end, radius, radius * 0.7, bark, 0.9, sides)
    if depth >= last:
        return
    for _ in range(3 if depth > 0 else 5):
        way = direction + rng.normal(0, 0.48, 3) + [0, 0, 0.12]
        way /= np.linalg.norm(way)
        fork = start + direction * length * rng.uniform(0.6, 1)
        _branch(
            mesh, rng, bark, last, fork, way, length * rng.uniform(0.6, 0.85),
            max(radius * 0.62, 0.012), depth + 1,
        )  # fmt: skip


def _conifer(mesh, rng, height, leaves, size, color, bark):
    mesh.cylinder(VEGETATION, (0, 0, 0), (0, 0, height * 0.9), 0.16, 0.03, bark, 0.9, 6)
    radius = rng.uniform(1.5, 2.2)
    down = rng.random(leaves) ** 0.7
    z = 0.8 + (height - 0.8) * (1 - down)
    tiers = 0.75 + 0.25 * np.abs(np.sin(z * 3.2))
    out = radius * down * tiers * rng.uniform(0.6, 1.02, leaves)
    angle = rng.uniform(0, 2 * np.pi, leaves)
    centers = np.stack([out * np.cos(angle), out * np.sin(angle), z - 0.15 * out], -1)
    outward = unit(np.stack([np.cos(angle), np.sin(angle), np.full(leaves, 0.45)], -1))
    color = color * [0.75, 0.85, 0.8]
    top = (0, 0, height * 0.97)
    mesh.cylinder(VEGETATION, (0, 0, 0.9), top, radius * 0.72, 0.03, color * 0.45, 0.95, 10)
    lit = (0.6 + 0.5 * (out / (radius * down + 0.1)))[:, None]
    add_leaves(mesh, rng, centers, outward, size * 1.25, color * lit, 0.18, 0.9)


def _broadleaf(mesh, rng, kind, detail, height, leaves, size, color, bark):
    trunk = height * rng.uniform(0.24, 0.36)
    lean = rng.normal(0, 0.25, 2)
    top = np.array([lean[0], lean[1], trunk + 1.6])
    fork = (lean[0] * 0.6, lean[1] * 0.6, trunk)
    mesh.cylinder(VEGETATION, (0, 0, 0), fork, 0.19, 0.13, bark, 0.9, 8)
    mesh.cylinder(VEGETATION, fork, top, 0.13, 0.08, bark, 0.9, 6)
    radius = rng.uniform(1.9, 3.1) if kind == "round" else rng.uniform(1.0, 1.5)
    middle, half_height = trunk + (height - trunk) * 0.52, (height - trunk) * 0.55
    count = 26 if kind == "round" else 14
    clusters = []
    for _ in range(count):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        far = rng.uniform(0.4, 0.95)
        center = [
            direction[0] * radius * far,
            direction[1] * radius * far,
            middle + direction[2] * half_height * far,
        ]
        wide = rng.uniform(0.22, 0.42) * min(radius, half_height)
        clusters.append((np.array(center), wide * np.array([1.15, 1.15, 0.85])))
    inner = np.array([radius * 0.6, radius * 0.6, half_height * 0.65])
    clusters.append((np.array([0, 0, middle]), inner))
    for center, _ in clusters[:5]:
        mesh.cylinder(VEGETATION, top * 0.9, center, 0.07, 0.03, bark, 0.9, 5)
    for center, radii in clusters:
        mesh.ellipsoid(VEGETATION, center, radii * 0.60, color * 0.5, 0.95, *CORES[detail])
    each = leaves // count
    for center, radii in clusters:
        outward = unit(rng.normal(size=(each, 3)))
        far = rng.uniform(0.55, 1.25, (each, 1))
        centers = center + outward * radii * far
        inside = np.clip(0.6 + 0.5 * (far - 0.55) / 0.5, 0.55, 1.05)
        lit = inside * (0.85 + 0.22 * np.clip((centers[:, 2:] - middle) / half_height, -1, 1))
        cluster_color = color * lit * rng.uniform(0.88, 1.1) * 1.1
        add_leaves(mesh, rng, centers, outward, size, cluster_color, 0.27, 0.8)


class Trees:
    """A world's trees in three levels of detail."""

    def __init__(self, seed, world):
        rng = np.random.default_rng(seed)
        self.templates = ([], [], [])
        for i in range(TEMPLATES):
            tree_seed = rng.integers(1 << 30)
            kind = world.trees[i % len(world.trees)]
            color = one_of(rng, AUTUMN) if rng.random() <= world.autumn else None
            for detail, templates in enumerate(self.templates):
                mesh = tree(np.random.default_rng(tree_seed), kind, detail, color)
                templates.append(mesh.merged()[VEGETATION, "plain"])

    def plant(self, mesh, rng, x, y, z=0.0, scale=None, detail=None):
        """Draws a tree; without a level of detail, one that fits the distance `y`."""
        scale = scale or rng.uniform(0.7, 1.25)
        if detail is None:
            detail = 2 if y < -3 else 0 if y < 20 else 1 if y < 45 else 2
        template = one_of(rng, self.templates[detail])
        tint = np.clip(1 + rng.normal(0, 0.07, 3) + rng.normal(0, 0.08), 0.7, 1.3)
        turn = rotation_z(rng.uniform(0, 6.28))
        stretch = np.diag([scale, scale, scale * rng.uniform(0.88, 1.15)])
        with mesh.at((x, y, z), matrix=turn @ stretch):
            color = np.clip(template.colors * tint, 0.01, 0.85)
            mesh.add(
                VEGETATION,
                template.vertices,
                template.faces,
                color,
                template.roughness,
                template.normals,
            )


def hedge(mesh, rng, length, width, height, detail, color):
    """A clipped hedge from the origin along +y."""
    color = np.array(color) * rng.uniform(0.85, 1.1)
    center, size = (0, length / 2, height / 2 - 0.02), (width - 0.12, length - 0.08, height - 0.08)
    mesh.box(VEGETATION, center, size, color * 0.62, 0.95)
    count = int((110, 38, 11)[detail] * (2 * length * height + length * width))
    count = min(max(count, 30), 3500)
    # Leaves on the left side, the right side and the top, in proportion to their areas.
    around = rng.random(count) * (2 * height + width)
    y = rng.uniform(0, length, count)
    left, sides = around < height, around < 2 * height
    x = np.where(left, -width / 2, np.where(sides, width / 2, around - 2 * height - width / 2))
    z = np.where(left, around, np.where(sides, around - height, height))
    outward_x = np.where(left, -1.0, np.where(sides, 1.0, 0))
    outward = unit(np.stack([outward_x, np.zeros(count), np.where(~sides, 1.0, 0.2)], -1))
    centers = np.stack([x, y, z], -1) + rng.normal(0, 0.05, (count, 3))
    centers = centers + outward * (0.06 * np.sin(y * 2.1 + z * 3))[:, None]
    centers[:, 2] = np.maximum(centers[:, 2], 0.03)
    add_leaves(mesh, rng, centers, outward, (0.075, 0.125, 0.24)[detail], color, 0.2, 0.85)


def bush(mesh, rng, radius, detail, flowers=False):
    """A round bush, perhaps in flower."""
    color = np.array(one_of(rng, GREENS)) * rng.uniform(0.85, 1.2)
    height = radius * rng.uniform(0.7, 1.1)
    core = (radius * 0.82, radius * 0.82, height * 0.8)
    mesh.ellipsoid(VEGETATION, (0, 0, height * 0.75), core, color * 0.62, 0.95, *CORES[detail])
    count = int((420, 130, 34)[detail] * max(radius * radius, 0.15) * 1.6)
    outward = rng.normal(size=(count, 3))
    outward[:, 2] = np.abs(outward[:, 2]) * 1.1 - 0.45
    outward = unit(outward)
    centers = np.array([0, 0, height * 0.75])
    radii = np.array([radius, radius, height])
    centers = centers + outward * radii * rng.uniform(0.8, 1.08, (count, 1))
    centers[:, 2] = np.maximum(centers[:, 2], 0.03)
    colors = color * np.ones((count, 1))
    if flowers:
        blooming = rng.random(count) < 0.15
        colors[blooming] = one_of(rng, FLOWERS)
    add_leaves(mesh, rng, centers, outward, (0.075, 0.13, 0.25)[detail], colors, 0.2, 0.85)
