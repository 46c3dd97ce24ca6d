"""What a rendered world looks like: contact sheets, and how often each class occurs."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fedseg.classes import CITYSCAPES, IGNORE, PALETTE
from fedseg.errors import FedsegError

from .write import paths


class Frequencies(NamedTuple):
    """Of the images of a folder."""

    images: int
    pixels: np.ndarray  # (19,), share of the labelled pixels
    present: np.ndarray  # (19,), share of the images that have the class
    ignored: float  # share of all pixels


def numbers(folder: Path) -> list[int]:
    """The numbers whose image and labels a folder has; raises FedsegError if there is none."""
    found = sorted(int(path.stem) for path in (folder / "labels").glob("[0-9]*.png"))
    found = [number for number in found if paths(folder, number)[0].exists()]
    if not found:
        raise FedsegError(f"{folder} has no rendered images; render some first")
    return found


def frequencies(folder: Path) -> Frequencies:
    """Counts the classes of a folder."""
    found = numbers(folder)
    pixels, present = np.zeros(256), np.zeros(256)
    for number in found:
        labels = cv2.imread(str(paths(folder, number)[1]), cv2.IMREAD_GRAYSCALE)
        counts = np.bincount(labels.ravel(), minlength=256)
        pixels += counts
        present += counts > 0
    labelled = pixels[: len(CITYSCAPES)]
    return Frequencies(
        len(found),
        labelled / labelled.sum(),
        present[: len(CITYSCAPES)] / len(found),
        pixels[IGNORE] / pixels.sum(),
    )


def contact_sheet(folder: Path, first: int, count: int, columns: int) -> np.ndarray:
    """Images above their labels in Cityscapes' colours, uint8 BGR."""
    shown = [number for number in numbers(folder) if number >= first][:count]
    if not shown:
        raise FedsegError(f"{folder} has no image from number {first} on")
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(CITYSCAPES)] = PALETTE[: len(CITYSCAPES)]
    tiles = []
    for number in shown:
        image, labels = paths(folder, number)
        labels = cv2.imread(str(labels), cv2.IMREAD_GRAYSCALE)
        tiles.append(np.vstack([cv2.imread(str(image)), colors[labels][..., ::-1]]))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)
