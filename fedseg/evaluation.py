"""Scoring a model on a labelled dataset."""

from typing import Any

import numpy as np
import torch
from torch import nn

from fedseg.checkpoints import Info
from fedseg.data.dataset import Dataset
from fedseg.data.loading import prefetch
from fedseg.inference import infer, input_size, probabilities
from fedseg.metrics import confusion_matrix, iou
from fedseg.progress import OnProgress


def evaluate(
    network: nn.Module,
    info: Info,
    dataset: Dataset,
    on_image: OnProgress | None = None,
) -> dict[str, Any]:
    """Score a model: one confusion matrix over the whole dataset, at the labels' resolution.

    For a dataset coarser than the 19 classes, probabilities are summed as its card says, before
    the most probable class is taken.

    Args:
        network: in evaluation mode.
        info: of the model.
        dataset: labelled.
        on_image: called after each image.

    Returns:
        A record for JSON: `dataset`, `split`, `images`, `protocol`, `classes` (names), `confusion`
        [C][C] (rows are true classes), `iou` by class (0..1, None where neither labelled nor
        predicted), `miou` (0..1) and `miou_classes`, the classes it averages over.
    """
    device = next(network.parameters()).device
    membership = torch.from_numpy(dataset.card.membership()).to(device)
    classes = [entry.name for entry in dataset.card.classes]
    confusion = np.zeros((len(classes), len(classes)), np.int64)

    sizes = set()
    images = infer(network, info, dataset.image, range(len(dataset)))
    labels = prefetch(dataset.label, range(len(dataset)), threads=2, ahead=8)
    for (index, image, logits), label in zip(images, labels, strict=True):
        chances = probabilities(logits, image.shape[:2])
        # `max` finds the same place as `argmax`, on a CPU ten times faster.
        prediction = torch.einsum("cp,phw->chw", membership, chances).max(dim=0).indices
        confusion += confusion_matrix(label, prediction.cpu().numpy(), len(classes))
        sizes.add(input_size(*image.shape[:2], info))
        if on_image:
            on_image(index + 1, len(dataset))
    return {
        "dataset": dataset.card.name,
        "split": dataset.split,
        "images": len(dataset),
        "protocol": {
            "inference": "whole image, one scale, no flip",
            "input_sizes": sorted(sizes),
            "scored_at": "label resolution",
        },
        **summarise(confusion, classes),
    }


def summarise(confusion: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """The scores that follow from a confusion matrix, as a record for JSON."""
    values = iou(confusion)
    found = ~np.isnan(values)
    return {
        "classes": classes,
        "confusion": confusion.tolist(),
        "iou": {
            name: float(value) if ok else None
            for name, value, ok in zip(classes, values, found, strict=True)
        },
        "miou": float(values[found].mean()) if found.any() else None,
        "miou_classes": [name for name, ok in zip(classes, found, strict=True) if ok],
    }
