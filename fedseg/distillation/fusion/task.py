"""What a fusion rule is given, and what it has to write."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedseg.config import Distillation
from fedseg.data.dataset import Dataset
from fedseg.distillation.teachers import Teacher
from fedseg.models.checkpoints import Info
from fedseg.run.progress import Progress

Teachers = dict[str, Teacher]


@dataclass(frozen=True)
class FusionTask:
    """One target for each image, from the predictions of all teachers."""

    folder: Path
    """Where the targets go: one for each image, in order, by `teachers.write_target`."""
    working: Path
    """Folder for large files in between; it is removed after the distillation."""
    settings: Distillation
    """Of the federation."""
    teachers: Teachers
    """With their predictions of all images."""
    images: Dataset
    """What the targets belong to."""
    chosen: list[int]
    """For each image, its number among the teachers' predictions."""
    student: Info
    """Of the model to be distilled; its input size sets the size of the targets."""
    seed: int
    """Of what is random."""
    progress: Progress
    """Receives the state of the work."""
    weights: np.ndarray | None = None
    """float32 [K, C], how much each client's vote for each class counts; None: the same."""


FusionRule = Callable[[FusionTask], None]
