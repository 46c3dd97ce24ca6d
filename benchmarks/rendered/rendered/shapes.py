"""Unit shapes and rotations. z is up, y runs along the street."""

from functools import cache

import numpy as np


def rotation_z(angle):
    """Rotation about the vertical, in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def _cube():
    """A cube of side 1 about the origin: 24 vertices, their normals, 12 triangles."""
    vertices, normals, faces = [], [], []
    for axis in range(3):
        for sign in (-1, 1):
            normal = np.zeros(3)
            normal[axis] = sign
            u, v = np.zeros(3), np.zeros(3)
            u[(axis + 1) % 3] = 1
            v[(axis + 2) % 3] = 1
            if sign < 0:
                u, v = v, u
            first = len(vertices)
            vertices += [normal - u - v, normal + u - v, normal + u + v, normal - u + v]
            normals += [normal] * 4
            faces += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
    return np.array(vertices) * 0.5, np.array(normals), np.array(faces)


CUBE = _cube()


@cache
def sphere(around, down):
    """Vertices and triangles of a unit sphere of `around` by `down` patches."""
    theta = np.linspace(0, np.pi, down + 1)
    phi = np.linspace(0, 2 * np.pi, around + 1)
    theta, phi = np.meshgrid(theta, phi, indexing="ij")
    vertices = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1
    )
    i = (np.arange(down)[:, None] * (around + 1) + np.arange(around)[None]).reshape(-1)
    below = i + around + 1
    faces = [np.stack([i, below, below + 1], -1), np.stack([i, below + 1, i + 1], -1)]
    return vertices.reshape(-1, 3), np.concatenate(faces)


@cache
def tube(sides):
    """The ring (cos, sin) of a tube of `sides` sides, and triangles between two such rings."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    i = np.arange(sides)
    above = i + sides + 1
    faces = [np.stack([i, i + 1, above + 1], -1), np.stack([i, above + 1, above], -1)]
    return ring, np.concatenate(faces)


def frame(direction):
    """Two unit vectors across a direction, and the direction's own unit vector."""
    x, y, z = (float(part) for part in direction)
    scale = 1.0 / ((x * x + y * y + z * z) ** 0.5 + 1e-9)
    x, y, z = x * scale, y * scale, z * scale
    # The cross product with the x axis, or with the y axis where that is too short.
    a, b, c = (0.0, z, -y) if abs(x) < 0.8 else (-z, 0.0, x)
    scale = 1.0 / (a * a + b * b + c * c) ** 0.5
    a, b, c = a * scale, b * scale, c * scale
    across = np.array([y * c - z * b, z * a - x * c, x * b - y * a])
    return np.array([a, b, c]), across, np.array([x, y, z])
