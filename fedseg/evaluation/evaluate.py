"""Scoring a model on a labelled dataset."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from fedseg.classes import CLASSES, SYNTHIA_CLASSES
from fedseg.config import Protocol
from fedseg.data.dataset import Dataset
from fedseg.data.label_map import LabelMap
from fedseg.data.loading import prefetch, spread
from fedseg.data.shards import sharded
from fedseg.evaluation.inference import PLAIN, devices_of, infer, resize_logits, view_size
from fedseg.evaluation.metrics import confusion_matrix, frequency_weighted_iou, iou, pixel_accuracy
from fedseg.models.checkpoints import Info
from fedseg.run.progress import Progress, silent
from fedseg.run.records import ByClass, ProtocolRecord, Score

Counts = tuple[tuple[int, int], np.ndarray]
"""The size at which the model saw an image, and its confusion matrix."""
LARGE = 2**21
"""Pixels of an image from which on its classes are found one by one."""


def evaluate(
    network: nn.Module,
    info: Info,
    dataset: Dataset,
    protocol: Protocol = PLAIN,
    progress: Progress = silent,
) -> Score:
    """Score a model: one confusion matrix over the whole dataset, at the labels' resolution.

    A dataset of classes as fine as the model's is scored over all of them, as cityscapesScripts
    does: one that it lacks, but that is predicted, is a mistake. For a coarser one, or a coarser
    scored set of the class list, probabilities are summed before the most probable class is taken.

    Args:
        network: in evaluation mode.
        info: of the model.
        dataset: labelled.
        protocol: how images are shown to the model.
        progress: receives the state of the work.

    Returns:
        The score.

    Raises:
        FedsegError: an image or a label can't be read, or they differ in size.

    Examples:
        >>> import fedseg
        >>> network, info = fedseg.load_checkpoint("runs/embedded/global")
        >>> source = fedseg.Source(dataset="folder", root="data/stormnight")
        >>> score = fedseg.evaluate(network, info, fedseg.open_dataset(source))
        >>> score.images, len(score.confusion), 0 <= score.miou <= 1
        (4, 19, True)
    """
    counted = _counts(network, info, dataset, protocol, range(len(dataset)))
    return _summed(counted, info, dataset, protocol, progress, "evaluating")


def evaluate_stored(
    load: Callable[[], nn.Module],
    info: Info,
    dataset: Dataset,
    protocol: Protocol = PLAIN,
    progress: Progress = silent,
    stage: str = "evaluating",
) -> Score:
    """`evaluate`, by all machines of the Ray cluster that this process has joined.

    Args:
        load: gives the model, in evaluation mode; called on every machine, and pickled for it.
        info: as the others, of `evaluate`.
        dataset: labelled.
        protocol: how images are shown to the model.
        progress: receives the state of the work.
        stage: what it is reported as.
    """

    def counts(numbers: Sequence[int]) -> Iterator[Counts]:
        return _counts(load(), info, dataset, protocol, numbers)

    counted = sharded(counts, range(len(dataset)))
    return _summed(counted, info, dataset, protocol, progress, stage)


def _counts(
    network: nn.Module,
    info: Info,
    dataset: Dataset,
    protocol: Protocol,
    numbers: Sequence[int],
) -> Iterator[Counts]:
    """Sizes and confusion matrices of some images of a dataset, in order."""
    mapped = LabelMap(dataset.card, info.classes)
    classes, table, membership = len(mapped.names), mapped.scored_ids(), membership_of(mapped)
    devices = devices_of(network)
    images = infer(network, info, dataset.image, numbers, protocol, devices)
    labels = prefetch(lambda index: cv2.LUT(dataset.label(index), table), numbers)

    def count(pair: tuple[tuple[int, np.ndarray, Tensor], np.ndarray]) -> Counts:
        (_, image, logits), label = pair
        prediction = class_map(logits, label.shape, membership).cpu().numpy()
        seen = view_size(image.shape[0], image.shape[1], info, protocol)
        return seen, confusion_matrix(label, prediction, classes)

    return spread(count, zip(images, labels, strict=True), len(devices))


def _summed(
    counted: Iterable[Counts],
    info: Info,
    dataset: Dataset,
    protocol: Protocol,
    progress: Progress,
    stage: str,
) -> Score:
    """The score that follows from all images of a dataset."""
    classes = LabelMap(dataset.card, info.classes).names
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    sizes = set()
    for done, (seen, counts) in enumerate(counted, start=1):
        confusion += counts
        sizes.add(seen)
        progress(stage, done, len(dataset))
    made_with = ProtocolRecord(**protocol.model_dump(), input_sizes=tuple(sorted(sizes)))
    return score_of(confusion, classes, dataset.card.name, dataset.split, len(dataset), made_with)


def membership_of(mapped: LabelMap) -> Tensor | None:
    """`LabelMap.membership` as a tensor, float32 [G, C]."""
    return None if mapped.membership is None else torch.from_numpy(mapped.membership)


def class_map(logits: Tensor, size: tuple[int, int], membership: Tensor | None = None) -> Tensor:
    """The most probable class of each pixel of an image.

    Logits are resized bilinearly first. For a large image that is done class by class, or a picture
    of 4000x3000 would take gigabytes.

    Args:
        logits: float32 [C, h, w].
        size: height and width of the image.
        membership: as `classify_pixels` takes it.

    Returns:
        int64 [*size], 0..C-1, or 0..G-1.
    """
    if size[0] * size[1] <= LARGE:
        return classify_pixels(resize_logits(logits, size), membership)
    largest = resize_logits(logits[:1], size)[0].clone()
    place = torch.zeros(size, dtype=torch.int64, device=logits.device)
    for c in range(1, len(logits)):
        plane = resize_logits(logits[c : c + 1], size)[0]
        place[plane > largest] = c
        torch.maximum(largest, plane, out=largest)
    if membership is None:
        return place
    # Softmax without its denominator, which is the same for all classes of a pixel.
    totals = logits.new_zeros(len(membership), *size)
    for c in range(len(logits)):
        share = (resize_logits(logits[c : c + 1], size)[0] - largest).exp_()
        for group in membership[:, c].nonzero().flatten():
            totals[group] += share
    return totals.max(dim=0).indices


def classify_pixels(logits: Tensor, membership: Tensor | None = None) -> Tensor:
    """The most probable class of each pixel.

    Args:
        logits: float32 [C, H, W].
        membership: float32 [G, C], as of `membership_of`; default: the classes stay.

    Returns:
        int64 [H, W], 0..C-1, or 0..G-1.
    """
    if membership is not None:
        logits = torch.einsum("cp,phw->chw", membership.to(logits.device), logits.softmax(dim=0))
    # `max` finds the same place as `argmax`, on a CPU ten times faster.
    return logits.max(dim=0).indices


def score_of(
    confusion: np.ndarray,
    classes: list[str],
    dataset: str,
    split: str,
    images: int,
    protocol: ProtocolRecord,
) -> Score:
    """The score that follows from a confusion matrix.

    Args:
        confusion: int64 [C, C]; rows are true classes, columns predicted ones.
        classes: their names.
        dataset: name of the dataset card.
        split: of the dataset.
        images: number of images that were scored.
        protocol: how images were shown to the model.
    """
    by_class = {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(classes, iou(confusion), strict=True)
    }
    miou, averaged = _mean(by_class)
    fine = classes == list(CLASSES)
    miou_16, averaged_16 = _mean({n: by_class[n] for n in SYNTHIA_CLASSES} if fine else {})
    labelled = bool(confusion.any())
    return Score(
        dataset=dataset,
        split=split,
        images=images,
        protocol=protocol,
        classes=classes,
        confusion=confusion.tolist(),
        iou=by_class,
        miou=miou,
        miou_classes=averaged,
        miou_16=miou_16,
        miou_16_classes=averaged_16,
        frequency_weighted_iou=frequency_weighted_iou(confusion) if labelled else None,
        pixel_accuracy=pixel_accuracy(confusion) if labelled else None,
    )


def _mean(by_class: ByClass) -> tuple[float | None, list[str]]:
    """Mean over the classes that have a score, and which these are."""
    found = {name: value for name, value in by_class.items() if value is not None}
    return (sum(found.values()) / len(found) if found else None), list(found)
