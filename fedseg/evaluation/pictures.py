"""What can be given as a picture: files, PIL images, arrays and tensors."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from fedseg.data.images import read_image
from fedseg.errors import FedsegError

Picture = str | PathLike[str] | Image.Image | np.ndarray | torch.Tensor


def as_rgb(picture: Picture) -> np.ndarray:
    """A picture as pixels.

    Args:
        picture: one of

            - the path of an image file; its EXIF orientation is followed.
            - a PIL image of any mode; transparency is dropped, its EXIF orientation followed.
            - a NumPy array [H, W], [H, W, 1] (grey) or [H, W, 3] (RGB).
            - a torch tensor of the same shapes, or with channels first, [1, H, W] or [3, H, W].

            Arrays and tensors are uint8, 0..255, or of floats, 0..1.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        FedsegError: another shape or type, or values outside of the range.
    """
    if isinstance(picture, (str, PathLike)):
        return read_image(Path(picture))
    if isinstance(picture, Image.Image):
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    if isinstance(picture, torch.Tensor):
        array = picture.detach().cpu().numpy()
        if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
            array = array.transpose(1, 2, 0)
    else:
        array = np.asarray(picture)
    return _three_channels(_bytes(array))


def _bytes(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise FedsegError(f"a picture of {array.dtype}: give uint8, 0..255, or floats, 0..1")
    if not array.size or not (array.min() >= 0 and array.max() <= 1):
        raise FedsegError("a picture of floats holds 0..1; divide it by its largest value")
    return np.rint(array * 255).astype(np.uint8)


def _three_channels(array: np.ndarray) -> np.ndarray:
    shape: tuple[Any, ...] = array.shape
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3) or not array.size:
        wanted = "[H, W], [H, W, 1] or [H, W, 3]"
        raise FedsegError(f"a picture of shape {list(shape)}: give {wanted}")
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
