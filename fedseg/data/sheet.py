"""A contact sheet: a few images of a dataset beside their labels, to see that all is right."""

from pathlib import Path

import numpy as np
from PIL import Image

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.data.dataset import Dataset
from fedseg.data.label_map import LabelMap
from fedseg.data.sampling import spread_indices
from fedseg.errors import FedsegError
from fedseg.files import atomic_file, check_new_file
from fedseg.resize import resize_image, resize_label

WIDTH = 480
"""Pixels of each picture on the sheet."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
ROWS = 6
"""Images on a sheet, at most."""


def write_sheet(
    dataset: Dataset, path: Path, rows: int = ROWS, classes: ClassList = CITYSCAPES
) -> int:
    """Write a contact sheet: in each row an image, its label's colours, and both.

    Args:
        dataset: without labels, the sheet shows the images alone.
        path: where to, an image file.
        rows: at most so many images, spread evenly over the dataset.
        classes: whose colours labels have.

    Returns:
        How many images are on it.

    Raises:
        FedsegError: the suffix of `path` is not an image's, or a file can't be read.
    """
    check_sheet(path)
    chosen = spread_indices(len(dataset), rows)
    colours = LabelMap(dataset.card, classes).card_colours()
    sheet = np.concatenate([_row(dataset, index, colours) for index in chosen])
    with atomic_file(path) as temporary:
        Image.fromarray(sheet).save(temporary)
    return len(chosen)


def check_sheet(path: Path) -> None:
    """See that a contact sheet can be written to a file.

    Raises:
        FedsegError: its suffix is not an image's, or it can't be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise FedsegError(f"{path}: not the name of an image; end it in {' or '.join(SUFFIXES)}")
    check_new_file(path)


def _row(dataset: Dataset, index: int, colours: np.ndarray) -> np.ndarray:
    """uint8 [h, WIDTH or 3 WIDTH, 3]: the image, its label's colours, and the two mixed."""
    image = dataset.image(index)
    size = (max(1, round(image.shape[0] * WIDTH / image.shape[1])), WIDTH)
    shown = resize_image(image, size)
    if dataset.labels is None:
        return shown
    label = resize_label(dataset.label(index), size)
    drawn = colours[label]
    return np.concatenate([shown, drawn, shown // 2 + drawn // 2], axis=1)
