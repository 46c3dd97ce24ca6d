"""What models predict for the server's images, on disk.

Probabilities are kept as uint8 (255 = certain) [h, w, C] at a quarter of the student's input size,
compressed, one file an image. One model is in memory at a time, and each sees each image once.

A folder is named after all that its arrays depend on but the image, and a file after the content
of its image, so that predictions are used again only for the images that they were made of.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.config import Protocol
from fedseg.data.dataset import Dataset
from fedseg.evaluation.inference import PLAIN, infer, input_size, resize
from fedseg.files import digest
from fedseg.models import checkpoints
from fedseg.models.checkpoints import Info
from fedseg.run.progress import OnProgress
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
        """Its predictions, in the order of the images; see `predict`."""

    def probabilities(self, index: int) -> np.ndarray:
        """Its prediction on an image, uint8 [h, w, C], 255 = certain."""
        return read_array(self.files[index])

    def classes(self, index: int) -> np.ndarray:
        """The most probable class of each cell of an image, uint8 [h, w], trainIds."""
        return read_largest(self.files[index])


def class_list(teachers: Sequence[Teacher]) -> ClassList:
    """The classes that all of some teachers predict; Cityscapes' of none."""
    return teachers[0].class_list if teachers else CITYSCAPES


def predict(
    checkpoint: Path,
    dataset: Dataset,
    student: Info,
    folder: Path,
    device: torch.device,
    on_image: OnProgress,
    protocol: Protocol = PLAIN,
) -> list[Path]:
    """Write a model's class probabilities for every image; those there already are kept.

    Classes that the model was not trained on get none.

    Args:
        checkpoint: the model's checkpoint folder.
        dataset: the server's images; labels are not looked at.
        student: its input size sets the size of the targets, the same for every client.
        folder: where the predictions of all models are kept.
        device: where the model runs.
        on_image: called after each image.
        protocol: how images are shown to the model.

    Returns:
        For each image, in order, the file with its prediction, uint8 [h, w, C].
    """

    def probabilities(network: nn.Module, info: Info, missing: list[int]) -> Arrays:
        unseen = [c for c in range(len(info.classes)) if c not in info.coverage]
        for index, image, logits in infer(network, info, dataset.image, missing, protocol):
            scores = resize(logits, target_size(image, student))
            scores[unseen] = -torch.inf
            found = (scores.softmax(dim=0) * 255).round().to(torch.uint8)
            yield index, found.permute(1, 2, 0).cpu().numpy()

    key = digest(*checkpoints.identity(checkpoint), *grid_of(student), protocol.model_dump_json())
    files = [folder / key / f"{name}{SUFFIX}" for name in file_hashes(dataset.images)]
    write_missing(checkpoint, files, probabilities, device, on_image, write_planes)
    return files


def write_missing(
    checkpoint: Path,
    files: list[Path],
    compute: Callable[[nn.Module, Info, list[int]], Arrays],
    device: torch.device,
    on_image: OnProgress,
    write: Callable[[Path, np.ndarray], None] = write_array,
) -> None:
    """Write an array for each image; undamaged files that are there already are kept.

    Args:
        checkpoint: of the model that makes the arrays.
        files: where the array of each image is kept.
        compute: gives the arrays, of the model and the numbers of the images that lack one.
        device: where the model runs.
        on_image: called after each image.
        write: writes an array.
    """
    missing = [index for index, file in enumerate(files) if not is_whole(file)]
    if not missing:
        return
    arrays = compute(*checkpoints.load(checkpoint, device), missing)
    for done, (index, array) in enumerate(arrays, start=len(files) - len(missing) + 1):
        write(files[index], array)
        on_image(done, len(files))


def grid_of(student: Info) -> tuple[int, int]:
    """What the size of an image's target depends on, beside the image."""
    return student.inference_height, student.stride


def target_size(image: np.ndarray, student: Info) -> tuple[int, int]:
    """Height and width of an image's target: a quarter of the size at which the student sees it."""
    rows, columns = input_size(image.shape[0], image.shape[1], student)
    return rows // TARGET_STRIDE, columns // TARGET_STRIDE


def target_file(folder: Path, index: int) -> Path:
    """Where the target of an image is kept."""
    return folder / f"{index:06d}{SUFFIX}"


def read_target(folder: Path, index: int) -> np.ndarray:
    """A target, uint8 [h, w, C] or with fused features after the classes."""
    return read_array(target_file(folder, index))


def write_target(folder: Path, index: int, target: np.ndarray) -> None:
    """Write what `read_target` reads."""
    write_array(target_file(folder, index), target)
