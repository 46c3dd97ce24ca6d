"""Resizing, the only place that does it: whatever lies at a place of an image stays there.

The centre of a pixel lies half a pixel from its edges, in arrays of any size. Images and soft
targets are averaged over areas where they shrink, so that training and inference see equally
smooth images, and interpolated linearly where they grow. Labels are chosen, never mixed.
"""

import cv2
import numpy as np

Size = tuple[int, int]
"""Height and width."""


def resize_image(image: np.ndarray, size: Size) -> np.ndarray:
    """Resize an image, anti-aliased along each side that shrinks.

    Args:
        image: uint8 or float32, [H, W] or [H, W, C].
        size: height and width of the result.

    Returns:
        The same dtype, [*size] or [*size, C]; the image itself if it has that size.
    """
    rows, columns = size
    smaller = min(rows, image.shape[0]), min(columns, image.shape[1])
    # OpenCV averages areas only where no side grows.
    shrunk = _scale(image, smaller, cv2.INTER_AREA)
    return _scale(shrunk, size, cv2.INTER_LINEAR)


def resize_target(target: np.ndarray, size: Size) -> np.ndarray:
    """Resize soft targets as `resize_image` does images.

    Args:
        target: uint8 or float32 [h, w, C], of any number of channels, or [h, w].
        size: height and width of the result.

    Returns:
        The same dtype, [*size, C] or [*size].
    """
    for rows in size:  # OpenCV averages areas of four channels at most, so of one side at a time
        flat = target.reshape(len(target), -1)
        how = cv2.INTER_AREA if rows < len(target) else cv2.INTER_LINEAR
        flat = _scale(flat, (rows, flat.shape[1]), how)
        target = np.ascontiguousarray(flat.reshape(rows, *target.shape[1:]).swapaxes(0, 1))
    return target


def resize_label(label: np.ndarray, size: Size) -> np.ndarray:
    """Resize a label to the classes at the centres of the new pixels.

    A centre that falls between two pixels, as each does at half the size, takes the one before it
    and the one after it in turn; always the same one would shift the label by a quarter of a pixel.

    Args:
        label: uint8 [H, W].
        size: height and width of the result.

    Returns:
        uint8 [*size]; the label itself if it has that size.
    """
    if label.shape == size:
        return label
    rows, columns = (_centres(*sides) for sides in zip(label.shape, size, strict=True))
    return label.take(rows, axis=0).take(columns, axis=1)


def enlarge(field: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge a smooth field, float32 [h, w], by cubic interpolation to [factor h, factor w]."""
    return cv2.resize(field, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def _centres(old: int, new: int) -> np.ndarray:
    """int64 [new]: for each new pixel the old one that its centre lies in."""
    places = np.arange(new)
    found, rest = np.divmod((2 * places + 1) * old, 2 * new)
    between = (rest == 0) & (places % 2 == 0)
    return found - between


def _scale(image: np.ndarray, size: Size, interpolation: int) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    return cv2.resize(image, size[::-1], interpolation=interpolation)
