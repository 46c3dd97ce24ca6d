"""A dataset on disk: which files make up a split, and how one is read."""

import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fedseg import streetsim
from fedseg.config import Source
from fedseg.data.cards import Card
from fedseg.data.encoding import read_label
from fedseg.data.images import Picture, check_file, possible_sizes, read_picture, stored_size
from fedseg.data.label_map import LabelMap
from fedseg.data.layout import find_pairs, label_twins, nothing_found
from fedseg.data.own_datasets import is_own, source_card, written_root
from fedseg.errors import FedsegError
from fedseg.files import cache_dir, check_writable
from fedseg.machine import cpus
from fedseg.run.progress import Progress, silent
from fedseg.storage.hashes import known_hashes
from fedseg.storage.provenance import notices, read_product, write_product


@dataclass(frozen=True, repr=False)
class Dataset:
    """The files of one split.

    A label is read as places in the card's class list; `LabelMap` turns them into trainIds.
    """

    card: Card
    split: str
    images: tuple[Path, ...]
    labels: tuple[Path, ...] | None

    def __repr__(self) -> str:
        labels = "labels" if self.labels else "no labels"
        return f"<Dataset {self.card.name} {self.split}: {len(self)} images, {labels}>"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """An image and its label.

        Returns:
            uint8 [H, W, 3], RGB; and uint8 [H, W], trainIds of Cityscapes' classes, or for a card
            of coarser classes places in its class list, 255 ignored; None without labels.

        Raises:
            IndexError: there is no such image.
            FedsegError: a file can't be decoded.
        """
        place = range(len(self))[index]
        if self.labels is None:
            return self.image(place), None
        return self.image(place), self._scored_ids[self.label(place)]

    @cached_property
    def _scored_ids(self) -> np.ndarray:
        return LabelMap(self.card).scored_ids()

    def every(self, step: int) -> "Dataset":
        """Every `step`-th pair of this one."""
        labels = None if self.labels is None else self.labels[::step]
        return replace(self, images=self.images[::step], labels=labels)

    def image(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3], RGB. Raises FedsegError for a file that can't be decoded."""
        return self.picture(index).pixels

    def picture(self, index: int) -> Picture:
        """An image, turned upright as its EXIF orientation says if its label then fits.

        Labels are drawn on what viewers show. Where the sizes show that a label was drawn on the
        pixels as they are stored, the image is read as it is stored.

        Raises:
            FedsegError: the file, or where it has an orientation its label, can't be decoded.
        """
        if self.labels is None:
            return read_picture(self.images[index])
        return read_picture(self.images[index], lambda: self._read_label(index).shape)

    def label(self, index: int) -> np.ndarray:
        """uint8 [H, W], places in the card's class list, 255 ignored.

        Raises:
            FedsegError: the file can't be decoded, does not fit the card, or its size is not its
                image's.
        """
        label = self._read_label(index)
        image = self.images[index]
        # Nearly always the head of the image's file is all that has to be read.
        if label.shape != stored_size(image) and label.shape not in possible_sizes(image):
            sizes = [f"{width}x{height}" for height, width in sorted(possible_sizes(image))]
            turned = ", turned or not as its EXIF orientation says" if len(sizes) > 1 else ""
            raise FedsegError(
                f"{self._label_file(index)}: is {label.shape[1]}x{label.shape[0]} pixels, but its "
                f"image {image.name} is {' or '.join(sizes)}{turned}"
            )
        return label

    def _read_label(self, index: int) -> np.ndarray:
        return read_label(self._label_file(index), self.card)

    def _label_file(self, index: int) -> Path:
        assert self.labels is not None, "opened without labels"
        return self.labels[index]


def open_dataset(
    source: Source,
    labelled: bool = True,
    progress: Progress = silent,
    stage: str = "rendering data",
) -> Dataset:
    """Find the files of a dataset; nothing is decoded yet.

    Embedded data without a root is rendered into the cache first, and a dataset in Python written.

    Args:
        source: card, root and split.
        labelled: whether labels are wanted; without, they are not even looked for.
        progress: receives the state of the work.
        stage: what rendering or writing the images is reported as.

    Raises:
        FedsegError: no such card, split or folder; no image; an image without its label.

    Examples:
        >>> import fedseg
        >>> dataset = fedseg.open_dataset(fedseg.Source(dataset="folder", root="data/boulevard"))
        >>> dataset.split, len(dataset), dataset.image(0).shape, dataset.label(0).shape
        ('all', 4, (48, 80, 3), (48, 80))
    """
    card, split = _chosen(source, labelled)
    if is_own(source.dataset):
        root = written_root(source, labelled, progress, stage)
    else:
        root = source.root or generated_root(card, split, progress, stage)
    pairs = find_pairs(card, split, root)
    if source.root is None:
        pairs = pairs[: card.splits[split].count]  # an older cache may hold more
    if not pairs:
        raise nothing_found(card, [split], root)
    for image, label in pairs:
        check_file(image)
        if labelled and not label.is_file():
            raise FedsegError(
                f"{image}: has no label; expected {label}; add it or remove the image"
            )
    if labelled and (doubles := label_twins(pairs)):
        one, other = doubles[0]
        raise FedsegError(f"{one} and {other.name}: two images with one label; remove one of them")
    images, labels = zip(*pairs, strict=True)
    return Dataset(card, split, images, labels if labelled else None)


def check_source(source: Source, labelled: bool = True) -> None:
    """See that a dataset's files are there; nothing is rendered or written, and none is opened.

    Raises:
        FedsegError: as of `open_dataset`; or embedded data that the cache does not hold, where the
            cache can't be written to.
    """
    card, split = _chosen(source, labelled)
    if is_own(source.dataset):
        return  # that it is there is known from its card
    if source.root or not card.generator:
        open_dataset(source, labelled)
    elif not _record(card, split).is_file():
        check_writable(cache_dir(), "cache: set FEDSEG_CACHE to a folder that can be written to")


def _chosen(source: Source, labelled: bool) -> tuple[Card, str]:
    """The card and the split that a source names."""
    if not source.dataset:
        raise FedsegError("its data is on a node of its own; here, name `dataset` and `root` too")
    card = source_card(source)
    split = card.split(source.split)
    if labelled and not card.splits[split].labelled:
        known = [name for name, part in card.splits.items() if part.labelled]
        hint = f"; choose {' or '.join(known)}" if known else ""
        raise FedsegError(f"{card.name}: no labels of split '{split}' are published{hint}")
    return card, split


def generated_root(card: Card, split: str, progress: Progress, stage: str) -> Path:
    """The cache folder that holds a split of embedded data, rendered now where it is not there yet.

    Args:
        card: the dataset's.
        split: one of the card's.
        progress: receives the state of the work.
        stage: what it is reported as.

    Raises:
        FedsegError: the dataset is none that fedseg renders.
    """
    if card.generator is None:
        raise FedsegError(f"{card.name}: no root; set `root` to the folder of the dataset")
    record = _record(card, split)
    root, count = record.parent, card.splits[split].count or 0
    inputs = {"images": count}
    known = read_product(record, inputs)
    files = streetsim.paths(root, split, count)
    found = known_hashes(files)
    if known is None or known["files"] != found:
        for path, was, now in zip(files, known["files"] if known else found, found, strict=True):
            if now != was:
                notices.warning("%s: missing or damaged; rendering it again", path)
                path.unlink(missing_ok=True)
        done = itertools.count(1)
        report = lambda _: progress(stage, next(done), count)  # noqa: E731
        streetsim.write(root, split, count, workers=cpus(), on_image=report)
        write_product(record, {"files": known_hashes(files)}, inputs)
    return root


def _record(card: Card, split: str) -> Path:
    """What a generated split was made from, beside its folders in the cache."""
    return cache_dir() / f"{card.generator}-{streetsim.VERSION}" / f"{split}.json"
