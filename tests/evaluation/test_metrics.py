import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.classification import multiclass_confusion_matrix

from fedseg.evaluation.metrics import confusion_matrix, frequency_weighted_iou, iou, pixel_accuracy


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


def test_accuracy_and_frequency_weighted_iou_by_hand():
    # Three of four pixels are of class 0, two of them right; class 1's one pixel is right.
    confusion = np.array([[2, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert pixel_accuracy(confusion) == 3 / 4
    assert frequency_weighted_iou(confusion) == pytest.approx(3 / 4 * 2 / 3 + 1 / 4 * 1 / 2)
    assert np.isnan(pixel_accuracy(np.zeros((2, 2), int)))


def test_equality_with_cityscapesscripts(tmp_path):
    """Their tool on PNGs of labelIds; ours on the same pixels as trainIds."""
    theirs = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    from cityscapesscripts.helpers.labels import labels as table

    ids = [label.id for label in table if 0 <= label.trainId < 19]  # in the order of trainIds
    train_id_of = np.full(256, 255, np.uint8)
    train_id_of[ids] = np.arange(19)
    rng = np.random.default_rng(0)
    confusion = np.zeros((19, 19), np.int64)
    files = [], []
    for index in range(3):
        # Ids 0..33, ignored ones among them; train (31) never true, caravan (29) only ignored,
        # bus (28) neither true nor predicted.
        truth = rng.choice([i for i in range(34) if i not in (28, 31)], (40, 60)).astype(np.uint8)
        guess = np.where(rng.random(truth.shape) < 0.6, truth, rng.choice(ids, truth.shape))
        guess[~np.isin(guess, ids)] = 7
        guess[guess == 28] = 7
        for name, array, into in (("truth", truth, files[1]), ("guess", guess, files[0])):
            into.append(str(tmp_path / f"{name}{index}.png"))
            Image.fromarray(array.astype(np.uint8)).save(into[-1])
        confusion += confusion_matrix(train_id_of[truth], train_id_of[guess.astype(np.uint8)], 19)

    args = theirs.args
    args.evalInstLevelScore, args.quiet, args.JSONOutput = False, True, False
    result = theirs.evaluateImgLists(*files, args)
    matrix = np.array(result["confMatrix"])
    assert np.array_equal(matrix[np.ix_(ids, ids)], confusion)
    names = [label.name for label in table if 0 <= label.trainId < 19]
    scores = np.array([result["classScores"][name] for name in names])
    assert np.array_equal(scores, iou(confusion), equal_nan=True)
    assert scores[names.index("train")] == 0
    assert np.isnan(scores[names.index("bus")])
    assert result["averageScoreClasses"] == pytest.approx(np.nanmean(iou(confusion)), abs=1e-12)
