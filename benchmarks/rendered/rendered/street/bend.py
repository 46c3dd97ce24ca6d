"""Bends a straight street round a curve and over a hill."""

import numpy as np


def bend(points, normals, curvature, hill):
    """Points and normals (N, 3) moved from a straight street to a curved one.

    Args:
        curvature: 1 / radius in metres, positive to the right; 0 is straight.
        hill: None, or the height of the street and the distance at which it is reached.
    """
    x, y, z = points[:, 0], points[:, 1], points[:, 2].copy()
    if hill:
        height, length = hill
        z += height * (1 - np.cos(np.pi * np.clip(y, -length, length) / length)) * 0.5
    if abs(curvature) <= 1e-6:
        return np.stack([x, y, z], -1), normals
    angle = curvature * np.clip(y, -1.2 / abs(curvature), 1.2 / abs(curvature))
    beyond = y - angle / curvature  # the street goes on straight
    cos, sin = np.cos(angle), np.sin(angle)
    new_x = (1 - cos) / curvature + x * cos + beyond * sin
    new_y = sin / curvature - x * sin + beyond * cos
    turned = normals.copy()
    turned[:, 0] = normals[:, 0] * cos + normals[:, 1] * sin
    turned[:, 1] = -normals[:, 0] * sin + normals[:, 1] * cos
    return np.stack([new_x, new_y, z], -1), turned
