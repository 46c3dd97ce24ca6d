"""Removes the noise of few samples.

An edge-avoiding a-trous filter (Dammertz et al., 2010) of the irradiance, radiance divided by
albedo, guided by normals, depth and albedo.
"""

import cv2
import numpy as np

KERNEL = (1 / 4, 1 / 2, 1 / 4)
PASSES = 4
TINY = 0.02
"""Added to the albedo before it divides."""


def denoise(radiance, albedo, normals, depth, is_sky):
    """The radiance (H, W, 3) without noise; the sky and its edges stay as they are.

    Args:
        albedo, normals: (H, W, 3).
        depth: metres (H, W); 0 where nothing is hit.
        is_sky: (H, W), bool.
    """
    radiance = np.nan_to_num(np.clip(radiance, 0, 80)).astype(np.float32)
    albedo = np.clip(np.nan_to_num(albedo), 0, 1).astype(np.float32)
    near_sky = cv2.dilate(is_sky.astype(np.uint8), np.ones((3, 3), np.uint8))
    solid = (depth > 0) & (near_sky == 0)
    light = np.log1p(radiance / (albedo + TINY) * 4)  # the logarithm tames bright specks
    light = np.where(solid[..., None], np.minimum(light, median(light) + 0.25), light)
    inverse_depth = (1 / np.maximum(depth, 0.5)).astype(np.float32)
    log_albedo = np.log(albedo.mean(-1) + 0.03)
    guides = normals.astype(np.float32), inverse_depth, log_albedo, solid
    light, support = _pass(light, 0, *guides)
    for i in range(1, PASSES):
        light, _ = _pass(light, i, *guides)
    # Where the filter found nothing alike, as at outlines, the median of the neighbours.
    weight = np.clip((support - 0.30) / 0.25, 0, 1)[..., None]
    light = light * weight + median(light) * (1 - weight)
    return np.where(solid[..., None], np.expm1(light) / 4 * (albedo + TINY), radiance)


def median(image):
    """The median of 3 x 3 pixels (H, W, 3), by channel."""
    return np.dstack(
        [cv2.medianBlur(np.ascontiguousarray(image[..., channel]), 3) for channel in range(3)]
    )


def _pass(light, i, normals, inverse_depth, log_albedo, solid):
    """The i-th pass, over neighbours 2**i pixels away: the new light, and the weight found."""
    step = 2**i
    height, width = solid.shape
    total, weights = np.zeros_like(light), np.zeros((height, width), np.float32)

    def padded(array):
        return cv2.copyMakeBorder(array, step, step, step, step, cv2.BORDER_REPLICATE)

    brightness = light.mean(-1)
    all_light, all_normals, all_depth, all_albedo, all_solid, all_brightness = (
        padded(array)
        for array in (
            light,
            normals,
            inverse_depth,
            log_albedo,
            solid.astype(np.float32),
            brightness,
        )
    )
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            top, left = step + dy * step, step + dx * step
            there = np.s_[top : top + height, left : left + width]
            weight = (
                KERNEL[dy + 1]
                * KERNEL[dx + 1]
                * np.exp(
                    -np.abs(all_brightness[there] - brightness) / (0.8 / (i + 1))
                    - np.abs(all_depth[there] - inverse_depth)
                    / (0.03 * inverse_depth + 0.0012)
                    * 0.25
                    / step
                    - np.abs(all_albedo[there] - log_albedo) * 1.6
                )
            )
            alike = np.clip((all_normals[there] * normals).sum(-1), 0, 1)
            for _ in range(3):
                alike = alike * alike
            weight = weight * alike * alike * all_solid[there]  # to the power of 16
            weight[solid & (dy == 0) & (dx == 0)] = KERNEL[1] ** 2
            total += all_light[there] * weight[..., None]
            weights += weight
    found = (solid & (weights > 0))[..., None]
    return np.where(found, total / np.maximum(weights, 1e-6)[..., None], light), weights
