"""What a student sees: parts of the server's images, changed in light and colour, and mixed."""

from pathlib import Path

import cv2
import numpy as np

from fedseg.config import Distillation
from fedseg.data.augment import Augmentation, photometry
from fedseg.data.dataset import Dataset
from fedseg.distillation.teachers import TARGET_STRIDE, read_target
from fedseg.training.loop import Example

MOST_CHANNELS = 128
"""Channels of an image that OpenCV 5 takes; a target may have more."""


class Views:
    """Draws an image, a view of it and an augmentation, with the view's target."""

    def __init__(
        self, dataset: Dataset, targets: Path, settings: Distillation, classes: int
    ) -> None:
        self._dataset, self._targets, self._settings = dataset, targets, settings
        self._classes = classes
        self._augment = Augmentation(photometry)

    def __call__(self, rng: np.random.Generator) -> Example:
        """A view, uint8 [*crop, 3] RGB, and its target, uint8 [crop / 4, C]."""
        view, target = self._view(rng)
        if self._settings.class_mix and rng.random() < self._settings.class_mix:
            view, target = class_mix((view, target), self._view(rng), self._classes, rng)
        return self._augment(view, None, int(rng.integers(2**31)))[0], target

    def _view(self, rng: np.random.Generator) -> Example:
        index = int(rng.integers(len(self._dataset)))
        return random_view(
            self._dataset.image(index),
            read_target(self._targets, index),
            self._settings.crop,
            self._settings.scale,
            rng,
        )


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
        target: uint8 [h, w, C], a coarser grid over the same picture.
        crop: height and width of the view in pixels.
        scale: smallest and largest part of the picture's area that a view shows.
        rng: random numbers.

    Returns:
        The view, uint8 [*crop, 3], and its target, uint8 [crop / 4, C].
    """
    height, width = target.shape[:2]
    area = rng.uniform(*scale)
    aspect = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    # The window is a whole number of target pixels, so that view and target show the same.
    rows = int(np.clip(round(height * np.sqrt(area / aspect)), 1, height))
    columns = int(np.clip(round(width * np.sqrt(area * aspect)), 1, width))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    y, x = image.shape[0] / height, image.shape[1] / width
    window = image[
        round(top * y) : round((top + rows) * y), round(left * x) : round((left + columns) * x)
    ]
    part = target[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        window, part = window[:, ::-1], part[:, ::-1]
    small = (crop[1] // TARGET_STRIDE, crop[0] // TARGET_STRIDE)
    view = cv2.resize(np.ascontiguousarray(window), crop[::-1], interpolation=cv2.INTER_LINEAR)
    return view, _resize(part, small)


def _resize(target: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Part of a target, uint8 [h, w, C] with any number of channels, at a width and height."""
    parts = [
        cv2.resize(np.ascontiguousarray(channels), size, interpolation=cv2.INTER_LINEAR)
        for channels in np.split(target, range(MOST_CHANNELS, target.shape[-1], MOST_CHANNELS), -1)
    ]
    # OpenCV leaves out an axis of a single channel.
    return parts[0] if len(parts) == 1 else np.dstack(parts)


def class_mix(onto: Example, source: Example, classes: int, rng: np.random.Generator) -> Example:
    """Half of the classes of one view pasted onto another, in the image and in the target alike.

    ClassMix (Olsson et al., arXiv 2007.07936, section 3.2). A pixel is of its most probable class.

    Args:
        onto: a view, uint8 [H, W, 3], and its target, uint8 [H / 4, W / 4, C], which may have more
            channels than classes.
        source: another view of the same size.
        classes: how many there are.
        rng: random numbers.

    Returns:
        A new view and its target.
    """
    (view, target), (image, wanted) = onto, source
    labels = wanted[..., :classes].argmax(axis=-1)
    present = np.unique(labels)
    chosen = rng.choice(present, (len(present) + 1) // 2, replace=False)
    is_pasted = np.isin(labels, chosen)[..., None]
    of_pixels = is_pasted.repeat(TARGET_STRIDE, axis=0).repeat(TARGET_STRIDE, axis=1)
    return np.where(of_pixels, image, view), np.where(is_pasted, wanted, target)
