"""Training augmentation, by Albumentations."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import albumentations as A
import cv2
import numpy as np

from fedseg.resize import resize_image, resize_label

# Images are augmented in several threads already; OpenCV's own would fight with the optimiser's.
cv2.setNumThreads(0)

Window = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


ASPECTS = (0.8, 1.25)
"""Narrowest and widest window that is cut from an image, relative to the aspect of the crop."""


class ResizedCrop(A.RandomResizedCrop):  # type: ignore[misc]  # Albumentations has no types
    """Cuts a window out of image and label alike, and resizes both as everything else is."""

    def apply(self, img: np.ndarray, crop_coords: Window, **params: Any) -> np.ndarray:
        """uint8 [H, W, 3] to [*size, 3]."""
        return resize_image(_cut(img, crop_coords), self.size)

    def apply_to_mask(self, mask: np.ndarray, crop_coords: Window, **params: Any) -> np.ndarray:
        """uint8 [H, W] to [*size]."""
        return resize_label(_cut(mask, crop_coords), self.size)


def geometry(crop: tuple[int, int], scale: tuple[float, float]) -> list[A.BasicTransform]:
    """A random part of the image at the size of the crop, flipped half the time.

    The label goes through the same geometry: its classes are chosen, never interpolated.
    """
    aspect = crop[1] / crop[0]
    ratio = (ASPECTS[0] * aspect, ASPECTS[1] * aspect)
    return [ResizedCrop(size=crop, scale=scale, ratio=ratio), A.HorizontalFlip(p=0.5)]


@dataclass(frozen=True)
class CropSource:
    """The size to which images can be shrunk before crops are cut from them."""

    crop: tuple[int, int]
    """Height and width of the crops."""
    smallest: float
    """Smallest part of an image's area that a crop shows."""

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """The smallest size of an image from which no crop is enlarged, in its proportions.

        The narrowest and the widest window of `geometry` ask for the same factor. An image in
        which some crops are enlarged anyway stays as it is.
        """
        needed = max(ASPECTS) * self.crop[0] * self.crop[1] / self.smallest
        factor = min(sqrt(needed / (height * width)), 1.0)
        return ceil(height * factor), ceil(width * factor)


def _cut(array: np.ndarray, window: Window) -> np.ndarray:
    left, top, right, bottom = window
    return array[top:bottom, left:right]


def photometry() -> list[A.BasicTransform]:
    """Changes of light, colour and camera: what differs most between one world and the next."""
    return [
        A.ColorJitter(
            brightness=(0.6, 1.4),
            contrast=(0.6, 1.4),
            saturation=(0.4, 1.6),
            hue=(-0.05, 0.05),
            p=0.9,
        ),
        A.RandomGamma(gamma_limit=(60, 160), p=0.3),
        A.ToGray(p=0.05),
        A.GaussianBlur(sigma_limit=(0.3, 1.2), p=0.25),
        A.GaussNoise(std_range=(0.01, 0.06), p=0.25),
    ]


class Augmentation:
    """A chain of Albumentations transforms that is a pure function of its input and a seed.

    Safe to share between threads: each has a separate chain, because a chain holds its random
    state.
    """

    def __init__(self, transforms: Callable[[], list[A.BasicTransform]]) -> None:
        self._transforms = transforms
        self._local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without the chains of this process's threads."""
        return type(self), (self._transforms,)

    def __call__(
        self, image: np.ndarray, label: np.ndarray | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Augment uint8 [H, W, 3] and, with it, uint8 [H, W] labels (255 ignored)."""
        if not hasattr(self._local, "chain"):
            self._local.chain = A.Compose(self._transforms())
        chain = self._local.chain
        chain.set_random_seed(seed)
        if label is None:
            return chain(image=image)["image"], None
        out = chain(image=image, mask=label)
        return out["image"], out["mask"]

    def both(
        self, image: np.ndarray, label: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augment an image and its labels."""
        augmented, mask = self(image, label, seed)
        assert mask is not None
        return augmented, mask
