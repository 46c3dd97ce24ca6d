"""Scores from confusion matrices, defined as cityscapesScripts defines them."""

import numpy as np

from fedseg.classes import IGNORE
from fedseg.errors import FedsegError

MOST_PIXELS = 2**50
"""A count that no dataset reaches; sums of a few thousand such counts fit in 64 bits."""


def confusion_matrix(label: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        label: integers of any shape, 0..classes-1, or 255 for pixels that do not count.
        prediction: integers 0..classes-1 of the same shape.
        classes: number of classes.

    Returns:
        int64 [classes, classes]; rows are true classes, columns predicted ones.
    """
    counted = label != IGNORE
    pairs = label[counted].astype(np.int64) * classes + prediction[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def received_confusion(counts: list[int], classes: int) -> np.ndarray:
    """The confusion matrix that somebody sent row by row, int64 [classes, classes].

    Raises:
        FedsegError: it is no such matrix.
    """
    in_range = all(0 <= count <= MOST_PIXELS for count in counts)
    if len(counts) != classes**2 or not in_range:
        raise FedsegError(f"its answer is not a confusion matrix of {classes} classes")
    return np.array(counts, np.int64).reshape(classes, classes)


def iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of each class: TP / (TP + FP + FN).

    Returns:
        float64 [classes], 0..1; NaN for a class found neither in the labels nor in the predictions.
        One that is predicted but never true scores 0, as in cityscapesScripts' evalPixelLevel.
    """
    return overlap_iou(confusion.sum(axis=0), confusion.sum(axis=1), np.diag(confusion))


def overlap_iou(first: np.ndarray, second: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Intersection over union of each class in two segmentations, from their counts.

    Args:
        first: int [C], pixels to which one gives each class.
        second: the same of the other.
        shared: int [C], pixels to which both give it.

    Returns:
        float64 [C], 0..1; NaN for a class that neither gives.
    """
    union = first + second - shared
    return np.divide(shared, union, out=np.full(len(union), np.nan), where=union > 0)


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Part of the labelled pixels that is right, 0..1; NaN where none is labelled."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def frequency_weighted_iou(confusion: np.ndarray) -> float:
    """Mean IoU weighted by how common each class is in the labels, 0..1; NaN without labels.

    Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015, section 5.
    """
    true = confusion.sum(axis=1)
    return (
        float((true * np.nan_to_num(iou(confusion))).sum() / true.sum()) if true.any() else np.nan
    )
