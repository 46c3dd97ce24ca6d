"""How consistent each client is, class by class: whether it sees the same in a changed picture.

A client that has learnt what a class looks like still finds it when the picture is darker, grey or
blurred. It takes no label, and no other client: those may all be wrong in the same way.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

import albumentations as A
import cv2
import numpy as np

from fedseg.errors import ModelError
from fedseg.evaluation.metrics import overlap_iou
from fedseg.files import digest
from fedseg.method.context import Context
from fedseg.method.sample import COPIES, sample_images
from fedseg.method.teachers import (
    Arrays,
    Teacher,
    Teachers,
    infer_scores,
    missing_indices,
    write_arrays,
)
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


def class_consistency(context: Context, teachers: Teachers) -> np.ndarray:
    """How consistent each client is with itself, above chance.

    C_k,c = max(0, (s - r) / (1 - r)), where s is the IoU of class c between what client k sees in
    an image and in a changed copy of it, and r the same between another image and that copy, over
    all cells of the sample. r is what a model reaches that does not look at the image; the
    correction is that of Hubert and Arabie, Comparing partitions, 1985, eq. 4.

    Args:
        context: of the run.
        teachers: that have predicted the server's own images.

    Returns:
        float64 [K, C], 0..1; 0 for a class that a client does not know or never predicts, and for
        a client whose model fails on a copy, of which there is a notice.
    """
    rows = []
    for name, teacher in teachers.items():
        try:
            counts = count_cells(context, name, teacher)
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
    same = np.nan_to_num(overlap_iou(image, copy, both))
    chance = np.nan_to_num(overlap_iou(other, copy, by_chance))
    return np.clip((same - chance) / np.maximum(1 - chance, 1e-6), 0, 1)


def count_cells(context: Context, name: str, teacher: Teacher) -> np.ndarray:
    """Count, class by class, what a client sees in images and in changed copies of them.

    Returns:
        int64 [5, C], cells of each class: in the image, in the copy, in both at the same place, in
        another image, and in that one and the copy at the same place.
    """
    sample = sample_images(len(context.images))
    predicted = [teacher.files[index] for index in sample]
    key = digest("consistency", *(f"{file.parent.name}/{file.stem}" for file in predicted))
    files = [context.run.predictions / key / f"{place}{SUFFIX}" for place in range(len(sample))]
    compute = partial(_counts, context, teacher, sample)
    stage = f"consistency of {name}"
    write_arrays(files, missing_indices(files), compute, context.progress, stage)
    return np.sum([read_array(file) for file in files], axis=0)


def _counts(
    context: Context, teacher: Teacher, sample: Sequence[int], places: Sequence[int]
) -> Arrays:
    """Counts of the images at some places of the sample; see `count_cells`."""
    classes, protocol = len(teacher.class_list), context.federation.server.labelling

    def changed(item: tuple[int, int]) -> np.ndarray:
        place, change = item
        return CHANGES[change](context.images.image(sample[place]))

    def histogram(seen: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
        return np.bincount(np.where(where, seen, classes).ravel(), minlength=classes + 1)[:classes]

    items = [(place, change) for place in places for change in changes_of(place)]
    outputs = infer_scores(teacher.checkpoint, context.student, changed, items, protocol)
    for place in places:
        image = teacher.classes(sample[place])
        other = resize_label(teacher.classes(sample[place - 1]), image.shape)
        counts = np.zeros((5, classes), np.int64)
        for (_, change), scores in islice(outputs, COPIES):
            seen = scores.argmax(dim=0).cpu().numpy().astype(np.uint8)
            if CHANGES[change] is mirror:
                seen = seen[:, ::-1]
            counts += [
                histogram(image),
                histogram(seen),
                histogram(seen, image == seen),
                histogram(other),
                histogram(seen, other == seen),
            ]
        yield place, counts


def changes_of(place: int) -> list[int]:
    """Numbers of the changes that the image at a place of the sample is looked at with."""
    return [(place + turn * len(CHANGES) // COPIES) % len(CHANGES) for turn in range(COPIES)]
