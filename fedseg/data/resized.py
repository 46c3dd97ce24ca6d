"""A dataset as a training reads it again and again: resized once, decoded once.

Each image is kept in the cache with its label, as bytes that need no decoding, at the size from
which a training cuts its crops. A file is named after the content of the image and the label and
after all else that its bytes depend on, so it is used again for these very inputs only.
"""

import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from fedseg.data.dataset import Dataset
from fedseg.data.fingerprint import card_reading
from fedseg.data.images import stored_size
from fedseg.files import DamagedFile, cache_dir, digest
from fedseg.resize import Size, resize_image, resize_label
from fedseg.storage.arrays import SUFFIX, read_array, write_array
from fedseg.storage.hashes import file_hashes

VERSION = 1
"""Version of the files; raised when images are resized in another way."""
LARGEST = 32 * 2**30
"""Bytes that the folder may take; beyond them, images are decoded each time."""
COUNTED_EVERY = 256
"""Files after which the folder is measured again, as other trainings write to it too."""

SizeOf = Callable[[int, int], Size]
"""From the height and width of an image to those that are kept; its `repr` tells it apart."""


class ResizedDataset:
    """The images and labels of a dataset at another size.

    Args:
        dataset: with or without labels.
        size_of: gives the size of each image.
    """

    def __init__(self, dataset: Dataset, size_of: SizeOf) -> None:
        self._dataset, self._size_of = dataset, size_of
        how = VERSION, size_of, card_reading(dataset.card)
        hashes = [file_hashes(files) for files in (dataset.images, dataset.labels) if files]
        names = [digest(*how, *own) for own in zip(*hashes, strict=True)]
        self._files = [folder() / f"{name}{SUFFIX}" for name in names]
        self._room = Room(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def image(self, index: int) -> np.ndarray:
        """uint8 [h, w, 3], RGB. Raises as `Dataset.image`."""
        return self.pair(index)[0]

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """An image and its label.

        Returns:
            uint8 [h, w, 3], RGB; and uint8 [h, w], places in the card's class list, 255 ignored;
            [0, w] for a dataset without labels.

        Raises:
            FedsegError: a file can't be decoded, or does not fit the card.
        """
        file = self._files[index]
        try:
            rows = read_array(file)
        except (OSError, DamagedFile):  # not there yet, or not to be had
            rows = self._resized(index)
            self._room.keep(file, rows)
        height = rows.shape[0] // (4 if self._dataset.labels else 3)
        return rows[: 3 * height].reshape(height, -1, 3), rows[3 * height :]

    def _resized(self, index: int) -> np.ndarray:
        """uint8 [3 h or 4 h, w]: an image's bytes, 3 w for each of its rows, and its label's."""
        image = self._dataset.image(index)
        size = self._size_of(*image.shape[:2])
        parts = [np.ascontiguousarray(resize_image(image, size)).reshape(-1, size[1])]
        if self._dataset.labels:
            parts.append(resize_label(self._dataset.label(index), size))
        return np.concatenate(parts)


class Room:
    """What may still be written to the folder.

    Args:
        own: files that are not removed to make room for others.
    """

    def __init__(self, own: Sequence[Path]) -> None:
        self._own = own
        self._lock = threading.Lock()
        self._left, self._until_count = 0, 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without its lock."""
        return type(self), (self._own,)

    def keep(self, file: Path, rows: np.ndarray) -> None:
        """Write a file if there is room for it; else it is made again when it is needed."""
        with suppress(OSError):  # a cache that can't be written to
            if self._take(rows.nbytes):
                write_array(file, rows)

    def _take(self, size: int) -> bool:
        with self._lock:
            if self._until_count == 0:
                self._left, self._until_count = self._free(size * COUNTED_EVERY), COUNTED_EVERY
            self._until_count -= 1
            is_free = self._left >= size
            self._left -= size * is_free
            return is_free

    def _free(self, wanted: int) -> int:
        """Bytes that may be written; for what is wanted, the oldest files of others are removed."""
        path = folder()
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)  # the images may be private
        found = {file: file.stat() for file in path.iterdir()}
        free = LARGEST - sum(status.st_size for status in found.values())
        free = min(free, shutil.disk_usage(path).free // 2)
        others = found.keys() - set(self._own)
        for file in sorted(others, key=lambda file: found[file].st_mtime):
            if free >= wanted:
                break
            file.unlink(missing_ok=True)
            free += found[file].st_size
        return free


def folder() -> Path:
    """Where the files lie."""
    return cache_dir() / "resized"


def kept_bytes(dataset: Dataset, size_of: SizeOf) -> int:
    """What is kept of a dataset, if all its images are as large as the first one."""
    rows, columns = size_of(*stored_size(dataset.images[0]))
    return min(len(dataset) * rows * columns * (4 if dataset.labels else 3), LARGEST)
