"""Which images are taken: rare classes often, as in DAFormer; or some at even distances."""

import numpy as np

TEMPERATURE = 0.05
"""Temperature of the sampling: the lower, the more often rare classes are asked for."""


def spread_indices(count: int, most: int) -> list[int]:
    """Indices of at most `most` of `count` things, at even distances from the first to the last."""
    return [int(index) for index in np.linspace(0, count - 1, min(most, count))]


def rare_class_probabilities(counts: np.ndarray) -> np.ndarray:
    """How often each class is asked for.

    P(c) ~ exp((1 - f_c) / T) over the classes that occur, f_c being the part of all labelled pixels
    that are of class c (Hoyer et al., DAFormer, CVPR 2022, eq. 5).

    Args:
        counts: int64 [N, C], pixels of each class in each image.

    Returns:
        float64 [C], sums to 1; 0 for a class that does not occur.
    """
    totals = counts.sum(axis=0)
    frequency = totals / max(totals.sum(), 1)
    exponent = np.where(totals > 0, (1 - frequency) / TEMPERATURE, -np.inf)
    weights = np.exp(exponent - exponent.max())
    return weights / weights.sum()


class RareClassSampler:
    """Draws images so that rare classes are seen often.

    A class is drawn with `rare_class_probabilities`, then one of the images that hold it, in
    proportion to the square root of its pixels there, so that a glimpse counts less than a view.
    """

    def __init__(self, counts: np.ndarray) -> None:
        self._classes = rare_class_probabilities(counts)
        weights = np.sqrt(counts.astype(np.float64))
        self._images = weights / np.maximum(weights.sum(axis=0), 1e-12)

    @property
    def shares(self) -> np.ndarray:
        """float64 [N]: probability of each image, sums to 1."""
        return self._images @ self._classes

    def draw(self, rng: np.random.Generator) -> int:
        """Index of an image."""
        wanted = rng.choice(len(self._classes), p=self._classes)
        return int(rng.choice(len(self._images), p=self._images[:, wanted]))
