"""What models predict for the server's images, on disk.

Probabilities are kept as uint8 (255 = certain) [h, w, C] at a quarter of the student's input size,
compressed, one file an image. One model is in memory at a time, and each sees each image once.

A folder is named after all that its arrays depend on but the image, and a file after the content
of its image, so that predictions are used again only for the images that they were made of.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.config import Protocol
from fedseg.data.dataset import Dataset
from fedseg.data.shards import sharded
from fedseg.evaluation.inference import PLAIN, Item, infer, input_size, resize_logits
from fedseg.files import digest
from fedseg.models import checkpoints
from fedseg.models.build import best_device
from fedseg.models.checkpoints import Info
from fedseg.run.progress import Progress
from fedseg.storage.arrays import (
    SUFFIX,
    is_whole,
    read_array,
    read_largest,
    write_array,
    write_planes,
)
from fedseg.storage.hashes import file_hashes

TARGET_STRIDE = 4
"""Student input pixels to one target pixel, each way: the stride of most decoders' features."""
Arrays = Iterator[tuple[int, np.ndarray]]
"""Numbers of images, and what is kept of each."""


class Teacher:
    """A client's checkpoint, the classes it was trained on, and its predictions on disk."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        info = checkpoints.load_info(checkpoint)
        self.class_list = info.classes
        self.coverage = set(info.coverage)
        self.files: list[Path] = []
        """Its predictions, in the order of the images; see `predict_images`."""

    def probabilities(self, index: int) -> np.ndarray:
        """Its prediction on an image, uint8 [h, w, C], 255 = certain."""
        return read_array(self.files[index])

    def classes(self, index: int) -> np.ndarray:
        """The most probable class of each cell of an image, uint8 [h, w], trainIds."""
        return read_largest(self.files[index])


Teachers = dict[str, Teacher]
"""By the clients' names."""


def open_teachers(clients: Mapping[str, Path]) -> Teachers:
    """The clients as teachers, who are yet to predict."""
    return {name: Teacher(folder) for name, folder in clients.items()}


def class_list(teachers: Sequence[Teacher]) -> ClassList:
    """The classes that all of some teachers predict; Cityscapes' of none."""
    return teachers[0].class_list if teachers else CITYSCAPES


def predict_images(
    checkpoint: Path,
    dataset: Dataset,
    student: Info,
    folder: Path,
    progress: Progress,
    stage: str,
    protocol: Protocol = PLAIN,
) -> list[Path]:
    """Write a model's class probabilities for every image; those there already are kept.

    Classes that the model was not trained on get none.

    Args:
        checkpoint: the model's checkpoint folder.
        dataset: the server's images; labels are not looked at.
        student: its input size sets the size of the targets, the same for every client.
        folder: where the predictions of all models are kept.
        progress: receives the state of the work.
        stage: what it is reported as.
        protocol: how images are shown to the model.

    Returns:
        For each image, in order, the file with its prediction, uint8 [h, w, C].
    """
    key = digest(*checkpoints.identity(checkpoint), *grid_of(student), protocol.model_dump_json())
    files = [folder / key / f"{name}{SUFFIX}" for name in file_hashes(dataset.images)]
    compute = partial(_probabilities, checkpoint, dataset, student, protocol)
    write_arrays(files, missing_indices(files), compute, progress, stage, write_planes)
    return files


def infer_scores(
    checkpoint: Path,
    student: Info,
    read: Callable[[Item], np.ndarray],
    items: Iterable[Item],
    protocol: Protocol,
) -> Iterator[tuple[Item, torch.Tensor]]:
    """Run a client's model over images, on the grid of the targets.

    Args:
        checkpoint: the model's checkpoint folder.
        student: its input size sets the grid.
        read: reads an image, uint8 [H, W, 3] RGB.
        items: what `read` takes.
        protocol: how images are shown to the model.

    Yields:
        Each item, in order, and its logits, float32 [C, h, w]; minus infinity for classes that the
        model was not trained on.
    """
    network, info = checkpoints.load(checkpoint, best_device())
    unseen = [c for c in range(len(info.classes)) if c not in info.coverage]
    for item, image, logits in infer(network, info, read, items, protocol):
        scores = resize_logits(logits, target_size(image.shape[:2], student))
        scores[unseen] = -torch.inf
        yield item, scores


def _probabilities(
    checkpoint: Path, dataset: Dataset, student: Info, protocol: Protocol, numbers: Sequence[int]
) -> Arrays:
    for index, scores in infer_scores(checkpoint, student, dataset.image, numbers, protocol):
        found = (scores.softmax(dim=0) * 255).round().to(torch.uint8)
        yield index, found.permute(1, 2, 0).cpu().numpy()


def missing_indices(files: list[Path]) -> list[int]:
    """Numbers of the files that are not there, or damaged."""
    return [number for number, file in enumerate(files) if not is_whole(file)]


def write_arrays(
    files: list[Path],
    numbers: list[int],
    compute: Callable[[Sequence[int]], Arrays],
    progress: Progress,
    stage: str,
    write: Callable[[Path, np.ndarray], None] = write_array,
) -> None:
    """Write an array for some images, on all machines there are.

    Args:
        files: where the array of each image is kept.
        numbers: of the images that lack one.
        compute: gives the arrays of images, by their numbers.
        progress: receives the state of the work.
        stage: what it is reported as.
        write: writes an array.
    """
    work = partial(_written, files, compute, write)
    for done, _ in enumerate(sharded(work, numbers), start=len(files) - len(numbers) + 1):
        progress(stage, done, len(files))


def _written(
    files: list[Path],
    compute: Callable[[Sequence[int]], Arrays],
    write: Callable[[Path, np.ndarray], None],
    numbers: Sequence[int],
) -> Iterator[int]:
    for index, array in compute(numbers):
        write(files[index], array)
        yield index


def grid_of(student: Info) -> tuple[int, int]:
    """What the size of an image's target depends on, beside the image."""
    return student.inference_height, student.stride


def target_size(size: tuple[int, int], student: Info) -> tuple[int, int]:
    """Height and width of an image's target: a quarter of the size at which the student sees it.

    Args:
        size: height and width of the image.
        student: its input size sets that of the targets.
    """
    rows, columns = input_size(*size, student)
    return rows // TARGET_STRIDE, columns // TARGET_STRIDE


def target_file(folder: Path, index: int) -> Path:
    """Where the target of an image is kept."""
    return folder / f"{index:06d}{SUFFIX}"


def is_written(folder: Path, index: int) -> bool:
    """Whether the target of an image is there."""
    return target_file(folder, index).is_file()


def read_target(folder: Path, index: int) -> np.ndarray:
    """A target, uint8 [h, w, C] or with fused features after the classes."""
    return read_array(target_file(folder, index))


def write_target(folder: Path, index: int, target: np.ndarray) -> None:
    """Write what `read_target` reads."""
    write_array(target_file(folder, index), target)
