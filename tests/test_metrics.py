import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from fedseg.metrics import confusion_matrix, iou


def test_confusion_equals_torchmetrics():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 19, (5, 40, 30)).astype(np.uint8)
    label[rng.random(label.shape) < 0.2] = 255
    prediction = rng.integers(0, 19, label.shape).astype(np.uint8)
    theirs = multiclass_confusion_matrix(
        torch.from_numpy(prediction).long(),
        torch.from_numpy(label).long(),
        num_classes=19,
        ignore_index=255,
    )
    assert np.array_equal(confusion_matrix(label, prediction, 19), theirs.numpy())


def test_iou_by_hand():
    # Class 0: 2 right, 1 taken for class 1. Class 2 is predicted once, but nowhere true: 0.
    # Class 3 is found nowhere: not a number.
    label = np.array([0, 0, 0, 1, 1, 255])
    prediction = np.array([0, 0, 1, 1, 2, 3])
    values = iou(confusion_matrix(label, prediction, 4))
    assert np.allclose(values[:3], [2 / 3, 1 / 3, 0])
    assert np.isnan(values[3])
