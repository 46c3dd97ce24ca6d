"""Writes the soft targets of the server's images, one file an image.

the clients' predictions -> fused and balanced -> gated by what their features say (optional)
                         -> joined by the student of the round before (optional)
"""

from functools import partial
from pathlib import Path

import numpy as np

from fedseg.classes import NUM_CLASSES
from fedseg.config import Distillation
from fedseg.data.dataset import Dataset
from fedseg.distillation import features
from fedseg.distillation.fusion.gated import fit_gate, fuse_features
from fedseg.distillation.fusion.mean import balance, fuse
from fedseg.distillation.teachers import Teacher, predict, read_target, write_target
from fedseg.models import checkpoints
from fedseg.run.progress import Progress
from fedseg.storage.arrays import read_array

Teachers = dict[str, Teacher]


def write_fused(
    folder: Path,
    settings: Distillation,
    teachers: Teachers,
    chosen: list[int],
    progress: Progress,
    weights: np.ndarray | None = None,
) -> None:
    """Write the fused and balanced target of each chosen image, in their order.

    Args:
        folder: where to.
        settings: how to balance.
        teachers: with their predictions of all images.
        chosen: numbers of the images to keep.
        progress: receives the state of the work.
        weights: how much each client's vote for each class counts, as for `fuse`.
    """
    coverage = [teacher.coverage for teacher in teachers.values()]

    def fused(index: int) -> np.ndarray:
        return fuse([t.probabilities(index) for t in teachers.values()], coverage, weights)

    prior = np.zeros(NUM_CLASSES)
    for done, index in enumerate(chosen, 1):
        prior += fused(index).mean(axis=(0, 1)) / len(chosen)
        progress("measuring class priors", done, len(chosen))
    for place, index in enumerate(chosen):
        target = balance(fused(index), prior, settings.class_balance, settings.temperature)
        write_target(folder, place, target)
        progress("fusing targets", place + 1, len(chosen))


def write_gated(
    before: Path,
    after: Path,
    folder: Path,
    settings: Distillation,
    teachers: Teachers,
    images: Dataset,
    student: checkpoints.Info,
    seed: int,
    progress: Progress,
) -> None:
    """Write the normalised geometric mean of the fused targets and of what the features say.

    Args:
        before: folder of the fused targets.
        after: folder to write to; with a `feature_weight`, fused features stand after the classes.
        folder: where the features of all clients are kept.
        settings: whether fused features are wanted.
        teachers: the clients.
        images: what the targets belong to.
        student: its input size sets the grid.
        seed: of the gate.
        progress: receives the state of the work.
    """
    described = [
        features.describe(
            teacher.checkpoint, images, student, folder, partial(progress, f"features of {name}")
        )
        for name, teacher in teachers.items()
    ]

    def seen(index: int) -> list[np.ndarray]:
        return [read_array(files[index]) for files in described]

    notify = partial(progress, "learning the gate")
    gate = fit_gate(seen, partial(read_target, before), len(images), seed, notify)
    for index in range(len(images)):
        fused, probabilities = fuse_features(gate, seen(index))
        target = np.sqrt(read_target(before, index) * probabilities)
        target *= 255 / np.maximum(target.sum(axis=-1, keepdims=True), 1e-6)
        parts = [np.rint(target).astype(np.uint8)]
        if settings.feature_weight:
            parts.append(features.to_bytes(fused))
        write_target(after, index, np.concatenate(parts, axis=-1))
        progress("gating targets", index + 1, len(images))


def join_student(
    student: Path,
    before: Path,
    after: Path,
    predicted: Path,
    images: Dataset,
    progress: Progress,
) -> None:
    """Write the targets of the next round: the mean of the first ones and of what the student says.

    It has seen the server's world, which no client has, and on real images it is better than the
    targets it learnt from. Fused features stay as they are.

    Args:
        student: its checkpoint folder.
        before: folder of the targets that the clients make.
        after: folder of the new ones.
        predicted: folder for the student's predictions.
        images: what the targets belong to.
        progress: receives the state of the work.
    """
    info = checkpoints.load_info(student)
    labelling = partial(progress, "labels by the student")
    files = predict(student, images, info, predicted, labelling)
    for index in range(len(images)):
        target = read_target(before, index).astype(np.uint16)
        classes = target[..., :NUM_CLASSES]
        classes[:] = (classes + read_array(files[index])) // 2
        write_target(after, index, target.astype(np.uint8))
        progress("joining the student", index + 1, len(images))
