"""The client models' predictions on the server's images, and the targets made of them, on disk.

Probabilities are kept as uint8 (255 = certain) [h, w, 19] at a quarter of the student's input size,
one .npy file an image. One client is in memory at a time, and each sees each image once.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fedseg import checkpoints
from fedseg.checkpoints import Info
from fedseg.classes import NUM_CLASSES
from fedseg.config import Protocol
from fedseg.data.dataset import Dataset
from fedseg.files import atomic_file, digest, read_json
from fedseg.inference import PLAIN, infer, input_size, resize
from fedseg.models import best_device
from fedseg.progress import OnProgress

TARGET_STRIDE = 4
"""Student input pixels to one target pixel, each way: the stride of most decoders' features."""
Arrays = Iterator[tuple[int, np.ndarray]]
"""Numbers of images, and what is kept of each."""


def image_file(folder: Path, index: int) -> Path:
    """Where the array of an image is kept."""
    return folder / f"{index:06d}.npy"


def read(folder: Path, index: int) -> np.ndarray:
    """The array of an image, uint8 [h, w, 19], mapped from disk rather than read as a whole."""
    return np.load(image_file(folder, index), mmap_mode="r", allow_pickle=False)


class Teacher:
    """A client's checkpoint, the classes it was trained on, and its predictions on disk."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        self.checkpoint = checkpoint
        self.sha256: str = read_json(checkpoint / "client.json")["sha256"]
        self.coverage = set(checkpoints.load_info(checkpoint).coverage)
        self.folder = folder / f"{checkpoint.name}-{digest(self.sha256)}"

    def chances(self, index: int) -> np.ndarray:
        """Its prediction on an image, uint8 [h, w, 19], 255 = certain."""
        return read(self.folder, index)


def predict(
    checkpoint: Path,
    dataset: Dataset,
    student: Info,
    folder: Path,
    on_image: OnProgress,
    protocol: Protocol = PLAIN,
) -> None:
    """Write a client's class probabilities for every image; those there already are kept.

    Classes that the client was not trained on get none.

    Args:
        checkpoint: the client's checkpoint folder.
        dataset: the server's images; labels are not looked at.
        student: its input size sets the size of the targets, the same for every client.
        folder: where the arrays are written.
        on_image: called after each image.
        protocol: how images are shown to the client.
    """

    def chances(network: nn.Module, info: Info, missing: list[int]) -> Arrays:
        unseen = [c for c in range(NUM_CLASSES) if c not in info.coverage]
        for index, image, logits in infer(network, info, dataset.image, missing, protocol):
            scores = resize(logits, target_size(image, student))
            scores[unseen] = -torch.inf
            found = (scores.softmax(dim=0) * 255).round().to(torch.uint8)
            yield index, found.permute(1, 2, 0).cpu().numpy()

    write_missing(checkpoint, len(dataset), chances, folder, on_image)


def write_missing(
    checkpoint: Path,
    count: int,
    said: Callable[[nn.Module, Info, list[int]], Arrays],
    folder: Path,
    on_image: OnProgress,
) -> None:
    """Write what a model says of each of `count` images; arrays that are there already are kept.

    `said` is given the model and the numbers of the images that it is to say something of.
    """
    missing = [index for index in range(count) if not image_file(folder, index).is_file()]
    if not missing:
        return
    arrays = said(*checkpoints.load(checkpoint, best_device()), missing)
    for done, (index, array) in enumerate(arrays, start=count - len(missing) + 1):
        _write(image_file(folder, index), array)
        on_image(done, count)


def target_size(image: np.ndarray, student: Info) -> tuple[int, int]:
    """Height and width of an image's target: a quarter of the size at which the student sees it."""
    rows, columns = input_size(*image.shape[:2], student.inference_height)
    return rows // TARGET_STRIDE, columns // TARGET_STRIDE


def write_target(folder: Path, index: int, target: np.ndarray) -> None:
    """Write a target, uint8 [h, w, 19] or with fused features after the classes, atomically."""
    _write(image_file(folder, index), target)


def _write(path: Path, array: np.ndarray) -> None:
    with atomic_file(path) as temporary:
        np.save(temporary, np.ascontiguousarray(array), allow_pickle=False)
