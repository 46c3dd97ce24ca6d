"""Triangles, collected by label and material, and the shapes that objects are made of.

Colours are sRGB albedo in [0, 1], lengths are metres, angles radians.
"""

from typing import NamedTuple

import numpy as np

from .shapes import CUBE, frame, rotation_z, sphere, tube


class Part(NamedTuple):
    """Some triangles, in the arrays that a renderer takes."""

    vertices: np.ndarray  # (N, 3)
    normals: np.ndarray  # (N, 3)
    faces: np.ndarray  # (M, 3), places in `vertices`
    colors: np.ndarray  # (N, 3)
    roughness: np.ndarray  # (N,)
    uv: np.ndarray  # (N, 2), of the material's bitmap


class Mesh:
    """Collects parts by (label, material), under a stack of transformations.

    The materials: "plain" is the colour of the vertices, "light" the same that shines, every other
    name is a bitmap.
    """

    def __init__(self):
        self.parts: dict[tuple[int, str], list[Part]] = {}
        self.stack = [(np.eye(3), np.zeros(3), np.eye(3))]  # of points: matrix, shift; of normals

    def at(self, position=(0, 0, 0), turn=0.0, matrix=None, scale=1.0):
        """Draws at a place until the end of the `with` block: scaled, turned about z, shifted."""
        outer, shift, outer_normals = self.stack[-1]
        inner = rotation_z(turn) if matrix is None else matrix
        inner_normals = inner
        if matrix is not None or scale != 1.0:
            inner = inner * scale
            inner_normals = np.linalg.inv(inner).T
        origin = outer @ np.asarray(position, float) + shift
        self.stack.append((outer @ inner, origin, outer_normals @ inner_normals))
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.pop()

    def to_street(self, point):
        """Where a point of the present place is in the street."""
        matrix, shift, _ = self.stack[-1]
        return matrix @ np.array(point) + shift

    def add(
        self, label, vertices, faces, color, roughness=0.75, normals=None, uv=None, material="plain"
    ):
        """Adds triangles; without normals every triangle is flat.

        Args:
            color: one, or one a vertex; without normals also one a triangle.
        """
        vertices, faces, color = (
            np.asarray(vertices, float),
            np.asarray(faces),
            np.asarray(color, float),
        )
        if normals is None:
            corners = vertices[faces]
            flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-12
            if color.ndim == 2:
                by_vertex = len(color) == len(vertices)
                color = (
                    color[faces].reshape(-1, color.shape[-1])
                    if by_vertex
                    else np.repeat(color, 3, 0)
                )
            if uv is not None:
                uv = np.asarray(uv)[faces].reshape(-1, 2)
            vertices, normals = corners.reshape(-1, 3), np.repeat(flat, 3, 0)
            faces = np.arange(len(vertices)).reshape(-1, 3)
        matrix, shift, for_normals = self.stack[-1]
        count = len(vertices)
        part = Part(
            vertices @ matrix.T + shift,
            normals @ for_normals.T,  # made unit vectors in `merged`
            faces,
            np.empty((count, 3)),
            np.empty(count),
            np.zeros((count, 2)) if uv is None else np.asarray(uv, float),
        )
        part.colors[:] = color
        part.roughness[:] = roughness
        self.parts.setdefault((label, material), []).append(part)

    def add_mesh(self, other):
        """Adds all of another mesh at the present place."""
        for (label, material), parts in other.parts.items():
            for part in parts:
                self.add(
                    label,
                    part.vertices,
                    part.faces,
                    part.colors,
                    part.roughness,
                    part.normals,
                    part.uv,
                    material,
                )

    def merged(self) -> dict[tuple[int, str], Part]:
        """One part for each label and material."""
        merged = {}
        for key, parts in self.parts.items():
            first = np.cumsum([0] + [len(part.vertices) for part in parts])
            columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
            whole = Part(*columns)
            normals = whole.normals
            normals /= np.sqrt((normals * normals).sum(1, keepdims=True)) + 1e-12
            faces = [part.faces + start for part, start in zip(parts, first[:-1], strict=True)]
            merged[key] = whole._replace(faces=np.concatenate(faces))
        return merged

    def box(self, label, center, size, color, roughness=0.75, turn=0.0, material="plain"):
        """A box with its sides along the axes, or turned about z."""
        vertices, normals, faces = CUBE
        vertices = vertices * np.asarray(size, float)
        if turn:
            rotation = rotation_z(turn)
            vertices, normals = vertices @ rotation.T, normals @ rotation.T
        vertices = vertices + np.asarray(center, float)
        self.add(label, vertices, faces, color, roughness, normals, material=material)

    def quad(self, label, corners, color, roughness=0.75, uv=None, material="plain"):
        """A flat four-sided face, seen from the side on which its corners run anticlockwise."""
        uv = [[0, 0], [1, 0], [1, 1], [0, 1]] if uv is None else uv
        faces = [[0, 1, 2], [0, 2, 3]]
        self.add(label, np.array(corners, float), faces, color, roughness, uv=uv, material=material)

    def cylinder(
        self, label, start, end, radius, end_radius=None, color=(0.5, 0.5, 0.5), roughness=0.7,
        sides=8, closed=False,
    ):  # fmt: skip
        """A cylinder or cone between two points, with or without its two discs."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        end_radius = radius if end_radius is None else end_radius
        ring, faces = tube(sides)
        u, v, along = frame(end - start)
        outward = ring[:, :1] * u + ring[:, 1:] * v
        vertices = np.concatenate([start + outward * radius, end + outward * end_radius])
        normals = np.concatenate([outward, outward])
        self.add(label, vertices, faces, color, roughness, normals)
        if closed:
            self.disc(label, end, along, end_radius, color, roughness, sides)
            self.disc(label, start, -along, radius, color, roughness, sides)

    def disc(
        self,
        label,
        center,
        normal,
        radius,
        color,
        roughness=0.7,
        sides=16,
        material="plain",
        turn=0.0,
    ):
        """A regular polygon about a point."""
        center = np.asarray(center, float)
        u, v, normal = frame(np.asarray(normal, float))
        angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + turn
        rim = center + radius * (np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v)
        vertices = np.concatenate([[center], rim])
        i = np.arange(sides)
        faces = np.stack([np.zeros(sides, int), i + 1, (i + 1) % sides + 1], -1)
        normals = np.broadcast_to(normal, vertices.shape).copy()
        self.add(label, vertices, faces, color, roughness, normals, material=material)

    def ellipsoid(
        self,
        label,
        center,
        radii,
        color,
        roughness=0.75,
        around=10,
        down=7,
        matrix=None,
        material="plain",
    ):
        """An ellipsoid with its axes along the coordinates', or along a matrix's columns."""
        vertices, faces = sphere(around, down)
        radii = np.broadcast_to(np.asarray(radii, float), (3,))
        normals = vertices / radii
        normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        vertices = vertices * radii
        if matrix is not None:
            vertices, normals = vertices @ matrix.T, normals @ matrix.T
        vertices = vertices + np.asarray(center, float)
        self.add(label, vertices, faces, color, roughness, normals, material=material)

    def capsule(self, label, start, end, radius, end_radius, color, roughness=0.8, sides=8):
        """A cylinder with round ends."""
        self.cylinder(label, start, end, radius, end_radius, color, roughness, sides)
        self.ellipsoid(label, start, radius, color, roughness, sides, 5)
        self.ellipsoid(label, end, end_radius, color, roughness, sides, 5)

    def torus(
        self, label, center, axis, radius, thickness, color, roughness=0.6, around=20, sides=6
    ):
        """A ring about an axis; `thickness` is the radius of its tube."""
        u, v, axis = frame(np.asarray(axis, float))
        angle, turn = np.meshgrid(
            np.linspace(0, 2 * np.pi, around + 1),
            np.linspace(0, 2 * np.pi, sides + 1),
            indexing="ij",
        )
        outward = np.cos(angle)[..., None] * u + np.sin(angle)[..., None] * v
        normals = np.cos(turn)[..., None] * outward + np.sin(turn)[..., None] * axis
        points = np.asarray(center, float) + radius * outward + thickness * normals
        self.grid(label, points, color, roughness, normals)

    def grid(self, label, points, color, roughness=0.75, normals=None, uv=None, material="plain"):
        """A smooth surface through a grid of points (R, C, 3).

        Args:
            color: one (3,), one a point (R, C, 3), or one a patch (R - 1, C - 1, 3).
        """
        rows, columns = points.shape[:2]
        if normals is None:
            normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
            normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
        i = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).reshape(-1)
        patches = np.stack([i, i + 1, i + columns + 1, i + columns], -1)
        color, roughness = np.asarray(color, float), np.asarray(roughness, float)
        points, normals = points.reshape(-1, 3), normals.reshape(-1, 3)
        if color.ndim == 3 and color.shape[:2] == (rows - 1, columns - 1):
            if roughness.ndim:
                roughness = np.repeat(roughness.reshape(-1), 4)
            color = np.repeat(color.reshape(-1, 3), 4, 0)
            points, normals = (a[patches].reshape(-1, 3) for a in (points, normals))
            patches = np.arange(4 * len(patches)).reshape(-1, 4)
            uv = None
        else:
            color = color.reshape(-1, 3) if color.ndim == 3 else color
            roughness = roughness.reshape(-1) if roughness.ndim == 2 else roughness
        faces = np.concatenate([patches[:, [0, 1, 2]], patches[:, [0, 2, 3]]])
        uv = None if uv is None else uv.reshape(-1, 2)
        self.add(label, points, faces, color, roughness, normals, uv, material)
