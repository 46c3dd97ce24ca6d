"""What a fusion rule is given, and how it writes its targets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedseg.config import Distillation
from fedseg.data.dataset import Dataset
from fedseg.errors import FedsegError
from fedseg.method.context import Context
from fedseg.method.teachers import Teachers, is_written, write_target
from fedseg.models.checkpoints import Info
from fedseg.plugins import blame_plugin
from fedseg.registry import FUSION_RULES
from fedseg.run.progress import Progress


@dataclass(frozen=True)
class FusionTask:
    """The predictions of all teachers, of which a fusion rule makes one target for each image."""

    folder: Path
    """Where `write` puts the targets."""
    working: Path
    """Folder for large files in between; it is removed after the distillation."""
    settings: Distillation
    """Settings of the distillation."""
    teachers: Teachers
    """With their predictions of all images."""
    images: Dataset
    """What the targets belong to."""
    student: Info
    """Facts of the model to be distilled; its input size sets the size of the targets."""
    seed: int
    """Seed of random numbers."""
    progress: Progress
    """Receives the state of the work."""
    weights: np.ndarray | None = None
    """float32 [K, C], 2/3..1, how much each client's vote for each class counts; None: the same."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def coverage(self) -> list[set[int]]:
        """The trainIds that each teacher was trained on."""
        return [teacher.coverage for teacher in self.teachers.values()]

    def predictions(self, place: int) -> list[np.ndarray]:
        """Read what all teachers predict for an image.

        Args:
            place: number of the image, from 0 to the number of images - 1.

        Returns:
            For each teacher uint8 [h, w, C], 255 = certain; 0 for classes that it does not know.
        """
        return [teacher.probabilities(place) for teacher in self.teachers.values()]

    def write(self, place: int, target: np.ndarray) -> None:
        """Write the target of an image.

        Args:
            place: number of the image.
            target: uint8 [h, w, C], 255 = certain, where h and w are those of the predictions;
                fused features may stand after the classes.

        Raises:
            ValueError: it is no such array.
        """
        first = next(iter(self.teachers.values()))
        rows, columns, classes = first.probabilities(place).shape
        shape: tuple[int, ...] = getattr(target, "shape", ())
        dtype = getattr(target, "dtype", type(target).__name__)
        fits = len(shape) == 3 and shape[:2] == (rows, columns) and shape[-1] >= classes
        if not fits or dtype != np.uint8:
            raise ValueError(
                f"the target is {dtype} {list(shape)}; expected uint8 {[rows, columns, classes]}"
            )
        write_target(self.folder, place, target)

    def check(self) -> None:
        """See that every image has a target.

        Raises:
            FedsegError: one has none.
        """
        for place in range(len(self)):
            if not is_written(self.folder, place):
                raise FedsegError(
                    f"fusion '{self.settings.fusion}': wrote no target of image {place} of "
                    f"{len(self)}; expected one for each"
                )


FusionRule = Callable[[FusionTask], None]
"""Writes one target for each image."""


def fuse_targets(
    context: Context,
    teachers: Teachers,
    images: Dataset,
    folder: Path,
    settings: Distillation,
    student: Info,
    weights: np.ndarray | None = None,
) -> None:
    """Make one soft target for each image, by the configured rule.

    Args:
        context: of the run.
        teachers: that have predicted the images.
        images: the server's, generated ones too.
        folder: for the targets.
        settings: fusion rule, class balance and temperature.
        student: facts of the model to be distilled.
        weights: as in `FusionTask`.

    Raises:
        FedsegError: a rule of a plugin failed, or left out an image.
    """
    task = FusionTask(
        folder=folder,
        working=context.run.predictions,
        settings=settings,
        teachers=teachers,
        images=images,
        student=student,
        seed=context.federation.seed,
        progress=context.progress,
        weights=weights,
    )
    write_targets: FusionRule = FUSION_RULES.load(settings.fusion)
    with blame_plugin("fusion", settings.fusion):
        write_targets(task)
    task.check()
