"""A dataset on disk: which files make up a split, and how one is read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fedseg import streetsim
from fedseg.classes import CLASSES, IGNORE, NUM_CLASSES
from fedseg.config import Source
from fedseg.data.cards import UNKNOWN, Card, load_card
from fedseg.errors import FedsegError
from fedseg.files import cache_dir
from fedseg.progress import OnProgress


@dataclass(frozen=True)
class Dataset:
    """The files of one split.

    A label is read as places in the card's class list; `train_ids` turns them into trainIds.
    """

    card: Card
    split: str
    images: tuple[Path, ...]
    labels: tuple[Path, ...] | None

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3], RGB. Raises FedsegError for a file that can't be decoded."""
        return read_image(self.images[index])

    def label(self, index: int) -> np.ndarray:
        """uint8 [H, W], places in the card's class list, 255 ignored.

        Raises:
            FedsegError: the file can't be decoded, or holds ids that the card does not list.
        """
        path = self.labels[index]
        with _decoding(path) as image:
            raw = np.asarray(image)
        if raw.ndim != 2 or raw.dtype not in (np.uint8, np.bool_):
            raise FedsegError(f"{path}: a label must be an 8-bit image of one channel")
        label = self.card.class_table()[raw.astype(np.uint8)]
        if (label == UNKNOWN).any():
            ids, counts = np.unique(raw[label == UNKNOWN], return_counts=True)
            listed = ", ".join(f"{i} ({n} px)" for i, n in zip(ids[:5], counts[:5], strict=True))
            raise FedsegError(
                f"{path}: label ids that the card '{self.card.name}' does not list: {listed}; "
                "choose the card that describes these labels"
            )
        return label

    def check_size(self, index: int, image: np.ndarray, label: np.ndarray) -> None:
        """See that an image, [H, W, 3], and its label, [H, W], are of one size.

        Raises:
            FedsegError: they are not.
        """
        if label.shape != image.shape[:2]:
            raise FedsegError(
                f"{self.labels[index]}: is {label.shape[1]}x{label.shape[0]} pixels, but its image "
                f"{self.images[index].name} is {image.shape[1]}x{image.shape[0]}"
            )

    def train_ids(self) -> np.ndarray:
        """uint8 [256]: place in the card's class list -> trainId, 255 stays.

        Raises:
            FedsegError: the card is coarser than the 19 classes, so it can only be scored on.
        """
        if not self.card.is_fine:
            raise FedsegError(
                f"{self.card.name}: its classes are coarser than the {NUM_CLASSES} classes, so it "
                "can be evaluated on, but not trained on"
            )
        table = np.full(256, IGNORE, np.uint8)
        for index, entry in enumerate(self.card.classes):
            table[index] = CLASSES.index(entry.members[0])
        return table


def open_dataset(
    source: Source,
    labelled: bool = True,
    on_render: OnProgress | None = None,
) -> Dataset:
    """Find the files of a dataset; nothing is decoded yet.

    Embedded data without a root is rendered into the cache first.

    Args:
        source: card, root and split.
        labelled: whether labels are wanted; without, they are not even looked for.
        on_render: called after each image that is rendered.

    Raises:
        FedsegError: no such card, split or folder; no image; an image without its label.
    """
    card = load_card(source.dataset)
    split = card.split(source.split)
    root = source.root or _generated(card, split, on_render)
    if not root.is_dir():
        raise FedsegError(f"{root}: no such folder; set the root of dataset '{card.name}'")
    patterns = card.splits[split].images or card.images
    label_pattern = card.splits[split].labels or card.labels
    pairs = sorted(_pairs(root, patterns, label_pattern, split))
    if source.root is None:
        pairs = pairs[: card.splits[split].count]  # an older cache may hold more
    if not pairs:
        wanted = " or ".join(pattern.replace("{split}", split) for pattern in patterns)
        raise FedsegError(
            f"{root}: no image of {card.name}, split '{split}'; looked for {wanted}; "
            "is it the right root?"
        )
    if labelled:
        for image, label in pairs:
            if not label.is_file():
                raise FedsegError(
                    f"{image}: has no label; expected {label}; add it or remove the image"
                )
    images, labels = zip(*pairs, strict=True)
    return Dataset(card, split, images, labels if labelled else None)


def _pairs(root: Path, patterns: list[str], label: str, split: str) -> Iterator[tuple[Path, Path]]:
    """Each image with the path its label must have."""
    for pattern in patterns:
        pattern = pattern.replace("{split}", split)
        stars = re.compile(re.escape(pattern).replace(r"\*", "([^/]*)"))
        for image in root.glob(pattern):
            parts = iter(stars.fullmatch(image.relative_to(root).as_posix()).groups())
            label_path = re.sub(r"\*", lambda _, parts=parts: next(parts), label)
            yield image, root / label_path.replace("{split}", split)


def _generated(card: Card, split: str, on_render: OnProgress | None) -> Path:
    """The cache folder that holds the generated split, made now where it is not there yet."""
    if card.generator is None:
        raise FedsegError(f"{card.name}: no root; set `root` to the folder of the dataset")
    root = cache_dir() / f"{card.generator}-{streetsim.VERSION}"
    images = card.splits[split].count
    if not (root / "labels" / split / f"{images - 1:05d}.png").is_file():
        told = (lambda index: on_render(index + 1, images)) if on_render else None
        streetsim.write(root, split, images, on_image=told)
    return root


def read_image(path: Path) -> np.ndarray:
    """Read an image file: uint8 [H, W, 3], RGB. Raises FedsegError where it can't be decoded."""
    with _decoding(path) as image:
        return np.asarray(image.convert("RGB"))


class _decoding:
    """Opens an image and turns every way in which decoding fails into one line for people."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Image.Image:
        try:
            self.image = Image.open(self.path)
            self.image.load()
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise FedsegError(
                f"{self.path}: not a readable image ({error}); replace or remove it"
            ) from None
        return self.image

    def __exit__(self, *_: object) -> None:
        self.image.close()
