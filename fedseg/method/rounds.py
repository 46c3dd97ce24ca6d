"""Targets of a later round: the average of the first ones and of the student's predictions."""

from functools import partial
from pathlib import Path

import numpy as np

from fedseg.data.dataset import Dataset
from fedseg.data.shards import sharded
from fedseg.method.teachers import predict, read_target, write_target
from fedseg.models import checkpoints
from fedseg.run.progress import Progress
from fedseg.storage.arrays import read_array


def join_student(
    student: Path,
    before: Path,
    after: Path,
    predicted: Path,
    images: Dataset,
    progress: Progress,
) -> None:
    """Write the targets of the next round: the mean of the first and the student's predictions.

    The student was trained on the server's images, which no client was, and on real images it is
    better than its targets. Fused features stay as they are.

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

    def join(index: int) -> None:
        target = read_target(before, index).astype(np.uint16)
        classes = target[..., : len(info.classes)]
        classes[:] = (classes + read_array(files[index])) // 2
        write_target(after, index, target.astype(np.uint8))

    for done, _ in enumerate(sharded(partial(map, join), range(len(images))), 1):
        progress("joining the student", done, len(images))
