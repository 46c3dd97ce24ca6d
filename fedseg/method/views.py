"""What a student sees: parts of the server's images, changed in light and colour."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from fedseg.config import Training
from fedseg.data.augment import ASPECTS, Augmentation, photometry
from fedseg.data.dataset import Dataset
from fedseg.data.resized import ResizedDataset
from fedseg.method.teachers import TARGET_STRIDE, grid_of, read_target, target_size
from fedseg.models.checkpoints import Info
from fedseg.resize import resize_image, resize_target
from fedseg.training.loop import Example


class Views:
    """Draws an image, a view of it and an augmentation, with the view's target."""

    def __init__(self, dataset: Dataset, targets: Path, settings: Training, info: Info) -> None:
        self._targets, self._settings = targets, settings
        source = ViewSource(settings.crop, settings.scale[0], info)
        self._dataset = ResizedDataset(dataset, source)
        self._augment = Augmentation(photometry)

    def __call__(self, rng: np.random.Generator) -> Example:
        """A view, uint8 [*crop, 3] RGB, and its target, uint8 [crop / 4, C]."""
        index = int(rng.integers(len(self._dataset)))
        view, target = random_view(
            self._dataset.image(index),
            read_target(self._targets, index),
            self._settings.crop,
            self._settings.scale,
            rng,
        )
        return self._augment(view, None, int(rng.integers(2**31)))[0], target


@dataclass(frozen=True)
class ViewSource:
    """The size to which images are resized before views are cut from them."""

    crop: tuple[int, int]
    """Height and width of the views."""
    smallest: float
    """Smallest part of an image's area that a view shows."""
    student: Info
    """Facts of the student; its input size sets the grid of the targets."""

    def __repr__(self) -> str:
        """All that the size depends on, beside the image's own."""
        return f"ViewSource({self.crop}, {self.smallest}, {grid_of(self.student)})"

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """The size for an image of that height and width; see `aligned_size`."""
        grid = target_size((height, width), self.student)
        return aligned_size((height, width), grid, self.crop, self.smallest)


def aligned_size(
    image: tuple[int, int], grid: tuple[int, int], crop: tuple[int, int], smallest: float
) -> tuple[int, int]:
    """The size of an image in which each cell of its target is a whole number of pixels.

    It is the smallest from which no view is enlarged. Where some views are enlarged anyway, it is
    the smallest that is not below the image's own.

    Args:
        image: its height and width.
        grid: height and width of its target.
        crop: height and width of a view.
        smallest: smallest part of the image's area that a view shows.
    """
    narrowest, widest = (_window(grid, smallest, aspect) for aspect in ASPECTS)
    needed = max(ceil(crop[0] / widest[0]), ceil(crop[1] / narrowest[1]))
    own = max(ceil(image[0] / grid[0]), ceil(image[1] / grid[1]))
    pixels = min(needed, own)
    return grid[0] * pixels, grid[1] * pixels


def _window(grid: tuple[int, int], area: float, aspect: float) -> tuple[int, int]:
    """Rows and columns of cells of a part of a grid, `aspect` times as wide as the grid is."""
    rows = int(np.clip(round(grid[0] * np.sqrt(area / aspect)), 1, grid[0]))
    return rows, int(np.clip(round(grid[1] * np.sqrt(area * aspect)), 1, grid[1]))


def random_view(
    image: np.ndarray,
    target: np.ndarray,
    crop: tuple[int, int],
    scale: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The same random part of an image and of its target, at the sizes that training takes.

    Args:
        image: uint8 [H, W, 3].
        target: uint8 [h, w, C], a coarser or finer grid over the same picture.
        crop: height and width of the view in pixels.
        scale: smallest and largest part of the picture's area that a view shows.
        rng: random numbers.

    Returns:
        The view, uint8 [*crop, 3], and its target, uint8 [crop / 4, C].
    """
    grid = height, width = target.shape[:2]
    area = rng.uniform(*scale)
    aspect = np.exp(rng.uniform(*np.log(ASPECTS)))
    rows, columns = _window(grid, area, aspect)
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    # The window is a whole number of cells, and so of pixels: view and target show the same.
    image = resize_image(image, aligned_size(image.shape[:2], grid, crop, scale[0]))
    cell = image.shape[0] // height
    window = image[top * cell : (top + rows) * cell, left * cell : (left + columns) * cell]
    part = target[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        window, part = window[:, ::-1], part[:, ::-1]
    small = crop[0] // TARGET_STRIDE, crop[1] // TARGET_STRIDE
    return resize_image(np.ascontiguousarray(window), crop), resize_target(part, small)
