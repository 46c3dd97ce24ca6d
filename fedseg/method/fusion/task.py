"""What a fusion rule is given, and how it writes its targets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedseg.config import Distillation
from fedseg.data.dataset import Dataset
from fedseg.errors import FedsegError
from fedseg.method.teachers import Teacher, is_written, write_target
from fedseg.models.checkpoints import Info
from fedseg.run.progress import Progress

Teachers = dict[str, Teacher]


@dataclass(frozen=True)
class FusionTask:
    """The predictions of all teachers, of which a fusion rule makes one target for each image."""

    folder: Path
    """Where `write` puts the targets."""
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
    """float32 [K, C], 2/3..1, how much each client's vote for each class counts; None: the same."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.chosen)

    @property
    def coverage(self) -> list[set[int]]:
        """The trainIds that each teacher was trained on."""
        return [teacher.coverage for teacher in self.teachers.values()]

    def predictions(self, place: int) -> list[np.ndarray]:
        """Read what all teachers predict for an image.

        Args:
            place: of the image, from 0 to the number of images - 1.

        Returns:
            For each teacher uint8 [h, w, C], 255 = certain; 0 for classes that it does not know.
        """
        return [teacher.probabilities(self.chosen[place]) for teacher in self.teachers.values()]

    def write(self, place: int, target: np.ndarray) -> None:
        """Write the target of an image.

        Args:
            place: of the image.
            target: uint8 [h, w, C], 255 = certain, where h and w are those of the predictions;
                fused features may stand after the classes.

        Raises:
            ValueError: it is no such array.
        """
        rows, columns, classes = self.predictions(place)[0].shape
        shape, dtype = getattr(target, "shape", ()), getattr(target, "dtype", type(target).__name__)
        fits = len(shape) == 3 and shape[:2] == (rows, columns) and shape[2] >= classes
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
