"""Scores from confusion matrices, defined as cityscapesScripts defines them."""

import numpy as np

from fedseg.classes import IGNORE


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


def iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of each class: TP / (TP + FP + FN).

    Returns:
        float64 [classes], 0..1; NaN for a class found neither in the labels nor in the predictions.
        One that is predicted but never true scores 0, as in cityscapesScripts' evalPixelLevel.
    """
    hit = np.diag(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hit
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)
