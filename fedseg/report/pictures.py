"""Pictures inside a page: data URIs, and the colours of classes."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from fedseg.classes import IGNORE
from fedseg.resize import resize_image

WIDTH = 480
"""Pixels; wider pictures are made smaller."""

WRONG = (214, 39, 64)
UNLABELLED = (128, 128, 128)


def shown_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a picture of that size is shown."""
    scale = min(WIDTH / width, 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def shrink_image(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] at the size at which it is shown."""
    return resize_image(image, shown_size(*image.shape[:2]))


def photo_uri(image: np.ndarray) -> str:
    """An image, uint8 [H, W, 3], as a data URI."""
    return _uri(Image.fromarray(image), "jpeg", quality=82)


def segmentation_uri(label: np.ndarray, colours: np.ndarray) -> str:
    """A map of classes as a data URI.

    Args:
        label: uint8 [H, W].
        colours: uint8 [256, 3].
    """
    picture = Image.fromarray(label, "P")
    picture.putpalette(colours.tobytes())
    return _uri(picture, "png", optimize=True)


def mistakes_uri(prediction: np.ndarray, label: np.ndarray) -> str:
    """Where a prediction is wrong, as a data URI; transparent where it is right.

    Args:
        prediction: uint8 [H, W].
        label: uint8 [H, W]; 255 is neither right nor wrong.
    """
    kind = np.where(label == IGNORE, 2, prediction != label).astype(np.uint8)
    picture = Image.fromarray(kind, "P")
    picture.putpalette(bytes((0, 0, 0, *WRONG, *UNLABELLED)))
    return _uri(picture, "png", optimize=True, transparency=bytes((0, 255, 160)))


def css(colour: np.ndarray) -> str:
    """An RGB colour in CSS."""
    return "#" + bytes(colour).hex()


def _uri(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
