"""Scoring a model on a labelled dataset."""

import os
from typing import Any

import numpy as np
import torch
from torch import nn

from fedseg.checkpoints import Info
from fedseg.data.dataset import Dataset
from fedseg.data.loading import prefetch
from fedseg.inference import input_size, probabilities
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

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        return dataset.image(index), dataset.label(index)

    threads = min(os.cpu_count() or 1, 8)
    sizes = set()
    for index, (image, label) in enumerate(prefetch(read, range(len(dataset)), threads, 8)):
        summed = torch.einsum("cp,phw->chw", membership, probabilities(network, info, image))
        prediction = summed.argmax(dim=0).cpu().numpy()
        confusion += confusion_matrix(label, prediction, len(classes))
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
