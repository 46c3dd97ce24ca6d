"""A survey of a dataset: every file opened once, every pixel counted, before training starts."""

from contextlib import suppress

import numpy as np

from fedseg.classes import CITYSCAPES, IGNORE, ClassList
from fedseg.data.dataset import Dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.data.label_map import LabelMap
from fedseg.data.loading import prefetch
from fedseg.files import DamagedFile, cache_dir, digest
from fedseg.machine import cpus
from fedseg.run.progress import Progress, silent
from fedseg.storage.arrays import read_array, write_array


def survey_labels(dataset: Dataset, progress: Progress = silent) -> np.ndarray:
    """Open every image and label, and count the pixels of each class.

    The counts are kept in the cache under the fingerprint of the dataset: it is surveyed again only
    when its files or its card changed.

    Args:
        dataset: what to survey.
        progress: receives the state of the work.

    Returns:
        int64 [N, C]: pixels of each of the card's classes in each image; [N, 0] without labels.

    Raises:
        FedsegError: a file can't be decoded, a label's size is not its image's, or a label id is
            not listed by the card.
    """
    path = cache_dir() / "surveys" / f"{digest(data_inputs(dataset))}.npz"
    classes = len(dataset.card.classes) if dataset.labels else 0
    with suppress(FileNotFoundError, DamagedFile):
        return read_array(path)
    counts = np.zeros((len(dataset), classes), np.int64)
    threads = cpus()
    rows = prefetch(lambda i: _count(dataset, i), range(len(dataset)), threads, 4 * threads)
    for index, row in enumerate(rows):
        counts[index] = row
        progress("checking data", index + 1, len(dataset))
    with suppress(OSError):  # without a cache, the files are opened again
        write_array(path, counts)
    return counts


def train_id_counts(
    dataset: Dataset, counts: np.ndarray, classes: ClassList = CITYSCAPES
) -> np.ndarray:
    """`survey_labels`'s counts by trainId of a class list: int64 [N, C].

    Raises:
        FedsegError: the dataset's card is coarser than the list, or of other classes.
    """
    by_train_id = np.zeros((len(counts), len(classes)), np.int64)
    table = LabelMap(dataset.card, classes).train_ids()
    for index, train_id in enumerate(table[: counts.shape[1]]):
        if train_id != IGNORE:
            by_train_id[:, train_id] += counts[:, index]
    return by_train_id


def label_counts(dataset: Dataset, index: int) -> np.ndarray:
    """Pixels of each of the card's classes in a label, and last those ignored: int64 [C + 1].

    Raises:
        FedsegError: the label can't be read.
    """
    counts = np.bincount(dataset.label(index).ravel(), minlength=256)
    return np.append(counts[: len(dataset.card.classes)], counts[IGNORE])


def _count(dataset: Dataset, index: int) -> np.ndarray:
    dataset.image(index)
    return label_counts(dataset, index)[:-1] if dataset.labels else np.zeros(0, np.int64)
