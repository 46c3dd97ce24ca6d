"""Cross-site evaluation: every client's model, scored by every other client on its own data.

Each client has labels of its own world only. What its model is worth elsewhere is known,
class by class, from the others' labels. They send confusion matrices, and see each other's models:
it is off by default.
"""

from collections.abc import Sequence

import numpy as np

from fedseg.evaluation.metrics import iou

LEAST = 2 / 3
"""Smallest weight of a vote, relative to the best client's: see `fusion.mean.cast_votes`."""


def vote_reliability(confusions: Sequence[Sequence[np.ndarray]], classes: int) -> np.ndarray:
    """How much each client's vote for each class counts: its IoU on the other clients' data.

    The median of the sites' IoUs, so that a site counts the same however many pixels it says it
    has, and one site of several can't decide. The IoUs of a class are divided by the best one.

    Args:
        confusions: for each client, the confusion matrices that the others found for its model,
            int [C, C]; rows are true classes.
        classes: C.

    Returns:
        float32 [K, C], `LEAST`..1; 1 everywhere where nothing was scored. A client that was not
        scored on a class counts as the others do on average.
    """
    scores = np.full((len(confusions), classes), np.nan)
    for row, matrices in zip(scores, confusions, strict=True):
        found = np.array([_scored(matrix) for matrix in matrices]).reshape(-1, classes)
        for c, values in enumerate(found.T):
            if np.isfinite(values).any():
                row[c] = np.nanmedian(values)
    known = np.isfinite(scores)
    typical = np.where(known, scores, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    typical[~known.any(axis=0)] = 1.0
    scores = np.where(known, scores, typical)
    best = scores.max(axis=0)
    scores = np.divide(scores, best, out=np.ones_like(scores), where=best > 0)
    return np.maximum(scores, LEAST).astype(np.float32)


def _scored(confusion: np.ndarray) -> np.ndarray:
    """One site's IoU of each class that it has; a prediction of another class tells little."""
    return np.where(confusion.sum(axis=1) > 0, iou(confusion), np.nan)
