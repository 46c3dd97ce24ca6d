"""Scoring a model on a labelled dataset."""

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from fedseg.classes import CLASSES, SYNTHIA_CLASSES
from fedseg.config import Protocol
from fedseg.data.dataset import Dataset, scored_classes
from fedseg.data.loading import prefetch
from fedseg.evaluation.inference import PLAIN, infer, resize, view_sizes
from fedseg.evaluation.metrics import confusion_matrix, frequency_weighted_iou, iou, pixel_accuracy
from fedseg.models.checkpoints import Info
from fedseg.run.progress import OnProgress


def evaluate(
    network: nn.Module,
    info: Info,
    dataset: Dataset,
    protocol: Protocol = PLAIN,
    on_image: OnProgress | None = None,
) -> dict[str, Any]:
    """Score a model: one confusion matrix over the whole dataset, at the labels' resolution.

    A dataset of classes as fine as ours is scored over all 19, as cityscapesScripts does: one that
    it lacks, but that is predicted, is a mistake. For a coarser one probabilities are summed as its
    card says, before the most probable class is taken.

    Args:
        network: in evaluation mode.
        info: of the model.
        dataset: labelled.
        protocol: how images are shown to the model.
        on_image: called after each image.

    Returns:
        A record for JSON: `dataset`, `split`, `images`, `protocol`, and what `summarise` gives.

    Raises:
        FedsegError: an image or a label can't be read, or they differ in size.

    Example:
        >>> import fedseg
        >>> network, info = fedseg.load_checkpoint("runs/embedded/global")
        >>> source = fedseg.Source(dataset="folder", root="data/stormnight")
        >>> score = fedseg.evaluate(network, info, fedseg.open_dataset(source))
        >>> score["images"], len(score["confusion"]), 0 <= score["miou"] <= 1
        (4, 19, True)
    """
    classes = scored_classes(dataset)
    table = dataset.scored_ids()
    membership = membership_of(dataset)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    sizes = set()
    images = infer(network, info, dataset.image, range(len(dataset)), protocol)
    labels = prefetch(
        lambda index: cv2.LUT(dataset.label(index), table), range(len(dataset)), threads=2, ahead=8
    )
    for (index, image, logits), label in zip(images, labels, strict=True):
        prediction = classify(resize(logits, label.shape), membership)
        confusion += confusion_matrix(label, prediction.cpu().numpy(), len(classes))
        sizes.update(view_sizes(image.shape[0], image.shape[1], info, protocol))
        if on_image:
            on_image(index + 1, len(dataset))
    return {
        "dataset": dataset.card.name,
        "split": dataset.split,
        "images": len(dataset),
        "protocol": protocol_record(protocol) | {"input_sizes": sorted(sizes)},
        **summarise(confusion, classes),
    }


def protocol_record(protocol: Protocol) -> dict[str, Any]:
    """How a score was made, for its record."""
    return {**protocol.model_dump(mode="json"), "scored_at": "label resolution"}


def membership_of(dataset: Dataset) -> Tensor | None:
    """Which of the 19 make up each class that a dataset is scored over.

    Returns:
        float32 [C, 19] of 0 and 1; None where the 19 themselves are scored.
    """
    return torch.from_numpy(dataset.card.membership()) if dataset.card.is_coarse else None


def classify(logits: Tensor, membership: Tensor | None = None) -> Tensor:
    """The most probable class of each pixel.

    Args:
        logits: float32 [19, H, W].
        membership: float32 [C, 19], as of `membership_of`; default: the 19 stay.

    Returns:
        int64 [H, W], 0..18, or 0..C-1.
    """
    if membership is not None:
        logits = torch.einsum("cp,phw->chw", membership.to(logits.device), logits.softmax(dim=0))
    # `max` finds the same place as `argmax`, on a CPU ten times faster.
    return logits.max(dim=0).indices


def summarise(confusion: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """The scores that follow from a confusion matrix, as a record for JSON.

    Args:
        confusion: int64 [C, C]; rows are true classes, columns predicted ones.
        classes: their names.

    Returns:
        `classes`; `confusion`; `iou` by class (0..1, None where neither labelled nor predicted);
        `miou` and `miou_classes`, the classes it averages over; `miou_16` and `miou_16_classes`,
        the same over SYNTHIA's 16 classes (None for coarser classes); `frequency_weighted_iou` and
        `pixel_accuracy`.
    """
    by_class = {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(classes, iou(confusion), strict=True)
    }
    miou, averaged = _mean(by_class)
    fine = classes == list(CLASSES)
    miou_16, averaged_16 = _mean({n: by_class[n] for n in SYNTHIA_CLASSES} if fine else {})
    labelled = bool(confusion.any())
    return {
        "classes": classes,
        "confusion": confusion.tolist(),
        "iou": by_class,
        "miou": miou,
        "miou_classes": averaged,
        "miou_16": miou_16,
        "miou_16_classes": averaged_16,
        "frequency_weighted_iou": frequency_weighted_iou(confusion) if labelled else None,
        "pixel_accuracy": pixel_accuracy(confusion) if labelled else None,
    }


def _mean(by_class: dict[str, float | None]) -> tuple[float | None, list[str]]:
    """Mean over the classes that have a score, and which these are."""
    found = {name: value for name, value in by_class.items() if value is not None}
    return (sum(found.values()) / len(found) if found else None), list(found)
