"""Opening image files: every way in which that fails becomes one line for people."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from fedseg.errors import FedsegError


@contextmanager
def decoding(path: Path) -> Iterator[Image.Image]:
    """An image file, opened; its pixels are decoded when the block first asks for them.

    Raises:
        FedsegError: the file can't be opened, or decoding fails inside the block.
    """
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, reason: object) -> FedsegError:
    """What is said of an image that can't be decoded."""
    return FedsegError(f"{path}: not a readable image ({reason}); replace or remove it")


def read_image(path: Path) -> np.ndarray:
    """Read an image file: uint8 [H, W, 3], RGB. Raises FedsegError where it can't be decoded."""
    with decoding(path) as image:
        return np.asarray(image.convert("RGB"))
