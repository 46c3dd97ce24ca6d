"""What large vehicles have in common: rounded bodies and wheels."""

import numpy as np

GLASS = np.array([0.05, 0.06, 0.07])
TYRE = (0.10, 0.10, 0.10)
RED_LAMP = (0.50, 0.03, 0.03)
HEADLIGHT = (1, 0.95, 0.8)


def grey(value):
    """A neutral colour."""
    return (value,) * 3


def rounded_body(mesh, label, length, half_width, bottom, top, color, roughness=0.3, bevel=0.12):
    """A long body along y with rounded edges and closed ends."""
    y = np.array(
        [
            length / 2,
            length / 2 - bevel * 0.4,
            length / 2 - bevel,
            -length / 2 + bevel,
            -length / 2 + bevel * 0.4,
            -length / 2,
        ]
    )
    taper = np.array([0.88, 0.96, 1, 1, 0.97, 0.93])
    profile = [
        (0.9, bottom),
        (1, bottom + 0.15),
        (1, (bottom + top) / 2),
        (1, top - bevel * 1.3),
        (0.95, top - bevel * 0.4),
        (0.82, top),
    ]
    points = np.zeros((6, 12, 3))
    for i in range(6):
        for k, (x, z) in enumerate(profile):
            height = z if z < top - bevel else top - (top - z) - (1 - taper[i]) * 0.9
            points[i, k] = (x * half_width * taper[i], y[i], height)
            points[i, 11 - k] = (-x * half_width * taper[i], y[i], height)
    mesh.grid(label, points, color, roughness)
    for ring in (points[0], points[5]):
        close(mesh, label, ring, ring.mean(0), color, roughness)


def close(mesh, label, ring, middle, color, roughness):
    """Closes a ring of points with triangles to a middle."""
    count = len(ring)
    i = np.arange(1, count + 1)
    faces = np.stack([np.zeros(count, int), i, i % count + 1], -1)
    mesh.add(label, np.concatenate([[middle], ring]), faces, color, roughness)


def large_wheels(mesh, label, half_width, places, radius=0.48):
    """Wheels on both sides at `places` along y."""
    for side in (-1, 1):
        out = (side, 0, 0)
        for y in places:
            arch = (side * (half_width + 0.008), y, radius + 0.03)
            mesh.disc(label, arch, out, radius + 0.1, grey(0.03), 0.9, 18)
            inner, outer = half_width - 0.3, half_width + 0.02
            mesh.cylinder(
                label, (side * inner, y, radius), (side * outer, y, radius),
                radius, radius, TYRE, 0.85, 18,
            )  # fmt: skip
            mesh.disc(label, (side * (half_width + 0.021), y, radius), out, radius, TYRE, 0.85, 18)
            hub = (side * (half_width + 0.03), y, radius)
            mesh.disc(label, hub, out, radius * 0.55, grey(0.5), 0.4, 12)
