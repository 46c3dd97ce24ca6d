"""How consistent each client is, class by class: whether it sees the same in a changed picture.

A client that has learnt what a class looks like still finds it when the picture is darker, grey or
blurred. It takes no label, and no other client: those may all be wrong in the same way.
"""

from collections.abc import Callable, Sequence
from functools import partial

import albumentations as A
import cv2
import numpy as np
import torch

from fedseg.data.dataset import Dataset
from fedseg.errors import ModelError
from fedseg.evaluation.inference import infer, resize_logits
from fedseg.files import digest
from fedseg.method.context import Context
from fedseg.method.sample import COPIES, sample_images
from fedseg.method.teachers import (
    Arrays,
    Teacher,
    Teachers,
    grid_of,
    missing_indices,
    target_size,
    write_arrays,
)
from fedseg.models import checkpoints
from fedseg.models.build import best_device
from fedseg.resize import resize_label
from fedseg.storage.arrays import SUFFIX, read_array
from fedseg.storage.provenance import notices

Change = Callable[[np.ndarray], np.ndarray]
"""From an image, uint8 [H, W, 3] RGB, to a changed copy of the same size."""


def _fixed(transform: A.ImageOnlyTransform) -> Change:
    return lambda image: transform(image=image)["image"]


def blur(image: np.ndarray) -> np.ndarray:
    """Blur by a standard deviation of 1/180 of the height."""
    return cv2.GaussianBlur(image, (0, 0), image.shape[0] / 180)


def add_noise(image: np.ndarray) -> np.ndarray:
    """Add noise of a standard deviation of 15, always the same."""
    noise = np.random.default_rng(0).normal(0, 15, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def warm(image: np.ndarray) -> np.ndarray:
    """Tint as the evening sun does."""
    return np.clip(image * np.array([1.15, 1.0, 0.75]), 0, 255).astype(np.uint8)


def mirror(image: np.ndarray) -> np.ndarray:
    """Exchange left and right; the prediction is mirrored back."""
    return np.ascontiguousarray(image[:, ::-1])


CHANGES: tuple[Change, ...] = (
    _fixed(A.RandomGamma(gamma_limit=(200, 200), p=1)),
    _fixed(A.RandomGamma(gamma_limit=(50, 50), p=1)),
    _fixed(A.RandomBrightnessContrast(brightness_limit=0, contrast_limit=(-0.6, -0.6), p=1)),
    _fixed(A.ToGray(p=1)),
    _fixed(
        A.HueSaturationValue(hue_shift_limit=(25, 25), sat_shift_limit=0, val_shift_limit=0, p=1)
    ),
    blur,
    add_noise,
    warm,
    mirror,
)
"""Changes of light, colour and camera that leave every class where it is; and the mirror."""


def class_consistency(context: Context, teachers: Teachers, images: Dataset) -> np.ndarray:
    """How consistent each client is with itself, above chance.

    C_k,c = max(0, (s - r) / (1 - r)), where s is the IoU of class c between what client k sees in
    an image and in a changed copy of it, and r the same between another image and that copy, over
    all cells of the sample. r is what a model reaches that does not look at the image; the
    correction is that of Hubert and Arabie, Comparing partitions, 1985, eq. 4.

    Args:
        context: of the run.
        teachers: that have predicted the images.
        images: what they have predicted.

    Returns:
        float64 [K, C], 0..1; 0 for a class that a client does not know or never predicts, and for
        a client whose model fails on a copy, of which there is a notice.
    """
    rows = []
    for name, teacher in teachers.items():
        try:
            counts = count_cells(context, name, teacher, images)
        except ModelError as error:
            notices.warning("client '%s' counts as inconsistent: %s", name, error)
            counts = np.zeros((5, len(teacher.class_list)), np.int64)
        rows.append(above_chance(counts))
    return np.stack(rows)


def above_chance(counts: np.ndarray) -> np.ndarray:
    """Turn the counts of one client into its consistency.

    Args:
        counts: int64 [5, C], as of `count_cells`.

    Returns:
        float64 [C], 0..1.
    """
    image, copy, both, other, by_chance = counts
    same = _iou(image, copy, both)
    chance = _iou(other, copy, by_chance)
    return np.clip((same - chance) / np.maximum(1 - chance, 1e-6), 0, 1)


def _iou(first: np.ndarray, second: np.ndarray, shared: np.ndarray) -> np.ndarray:
    union = first + second - shared
    return np.divide(shared, union, out=np.zeros(union.shape), where=union > 0)


def count_cells(context: Context, name: str, teacher: Teacher, images: Dataset) -> np.ndarray:
    """Count, class by class, what a client sees in images and in changed copies of them.

    Returns:
        int64 [5, C], cells of each class: in the image, in the copy, in both at the same place, in
        another image, and in that one and the copy at the same place.
    """
    sample = sample_images(len(images))
    protocol = context.federation.server.labelling
    key = digest(
        "consistency",
        *checkpoints.identity(teacher.checkpoint),
        *grid_of(context.student),
        protocol.model_dump_json(),
        *[teacher.files[index].stem for index in sample],
    )
    files = [context.run.predictions / key / f"{place}{SUFFIX}" for place in range(len(sample))]
    compute = partial(_counts, context, teacher, images, sample)
    stage = f"consistency of {name}"
    write_arrays(files, missing_indices(files), compute, context.progress, stage)
    return np.sum([read_array(file) for file in files], axis=0)


def _counts(
    context: Context,
    teacher: Teacher,
    images: Dataset,
    sample: Sequence[int],
    places: Sequence[int],
) -> Arrays:
    """Counts of the images at some places of the sample; see `count_cells`."""
    network, info = checkpoints.load(teacher.checkpoint, best_device())
    classes = len(info.classes)
    unseen = [c for c in range(classes) if c not in info.coverage]

    def changed(item: tuple[int, int]) -> np.ndarray:
        place, change = item
        return CHANGES[change](images.image(sample[place]))

    def histogram(seen: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
        return np.bincount(np.where(where, seen, classes).ravel(), minlength=classes + 1)[:classes]

    items = [(place, change) for place in places for change in changes_of(place)]
    counts = np.zeros((5, classes), np.int64)
    protocol = context.federation.server.labelling
    for number, ((place, change), copy, logits) in enumerate(
        infer(network, info, changed, items, protocol), 1
    ):
        scores = resize_logits(logits, target_size(copy.shape[:2], context.student))
        scores[unseen] = -torch.inf
        seen = scores.argmax(dim=0).cpu().numpy().astype(np.uint8)
        if CHANGES[change] is mirror:
            seen = seen[:, ::-1]
        image = teacher.classes(sample[place])
        other = resize_label(teacher.classes(sample[place - 1]), seen.shape)
        counts += [
            histogram(image),
            histogram(seen),
            histogram(seen, image == seen),
            histogram(other),
            histogram(seen, other == seen),
        ]
        if number % COPIES == 0:
            yield place, counts
            counts = np.zeros((5, classes), np.int64)


def changes_of(place: int) -> list[int]:
    """Numbers of the changes that the image at a place of the sample is looked at with."""
    return [(place + turn * len(CHANGES) // COPIES) % len(CHANGES) for turn in range(COPIES)]
