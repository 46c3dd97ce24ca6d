"""A check of a dataset on disk: everything that is wrong with it, not only the first thing."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fedseg.classes import IGNORE
from fedseg.data.cards import Card
from fedseg.data.dataset import Dataset
from fedseg.data.layout import find_labels, find_pairs, nothing_found
from fedseg.data.loading import prefetch
from fedseg.errors import FedsegError
from fedseg.progress import OnProgress

SAMPLE = 50
"""Images that are opened where not all are to be."""


@dataclass(frozen=True)
class Report:
    """What a check found."""

    found: dict[str, int]
    """Images by split."""
    opened: int
    """Images that were opened, with their labels where they have some."""
    pixels: np.ndarray
    """int64 [C + 1]: opened pixels of each of the card's classes, and last those ignored."""
    problems: list[str]
    """Everything wrong, each naming its file."""


def check(
    card: Card,
    root: Path,
    split: str | None = None,
    everything: bool = False,
    on_image: OnProgress | None = None,
) -> Report:
    """Find the files of a dataset, and open a sample spread evenly over them, or every one.

    Args:
        card: the dataset's.
        root: its folder.
        split: one of the card's; default: every split that has an image.
        everything: whether to open all files.
        on_image: called after each image that is opened.

    Raises:
        FedsegError: there is no such split, or no image at all.
    """
    splits = list(card.splits) if split is None else [card.split(split)]
    pairs = {name: find_pairs(card, name, root) for name in splits}
    if not any(pairs.values()):
        raise nothing_found(card, splits, root)

    problems: list[str] = []
    files: dict[Path, Path | None] = {}  # a card's splits may overlap
    for name in splits:
        if pairs[name]:
            problems += _missing(card, name, root, pairs[name])
        for image, label in pairs[name]:
            has_label = card.splits[name].labelled and label.is_file()
            files[image] = label if has_label else files.get(image)

    chosen = list(files.items())
    if not everything and len(chosen) > SAMPLE:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, SAMPLE).astype(int)]
    pixels = np.zeros(len(card.classes) + 1, np.int64)
    threads = os.cpu_count() or 1
    results = prefetch(partial(_open, card), chosen, threads, 4 * threads)
    for done, (counts, wrong) in enumerate(results, 1):
        pixels += counts
        problems += wrong
        if on_image:
            on_image(done, len(chosen))
    found = {name: len(pairs[name]) for name in splits}
    return Report(found, len(chosen), pixels, list(dict.fromkeys(problems)))


def _missing(card: Card, split: str, root: Path, pairs: list[tuple[Path, Path]]) -> list[str]:
    """What is wrong with a split before any file is opened."""
    expected = card.splits[split].count
    problems = []
    if expected not in (None, len(pairs)):
        problems.append(f"{root}: split '{split}' has {len(pairs)} images, expected {expected}")
    if card.splits[split].labelled:
        problems += [
            f"{image}: has no label; expected {label}"
            for image, label in pairs
            if not label.is_file()
        ]
        strays = find_labels(card, split, root) - {label for _, label in pairs}
        problems += [f"{label}: is a label without an image" for label in sorted(strays)]
    return problems


def _open(card: Card, files: tuple[Path, Path | None]) -> tuple[np.ndarray, list[str]]:
    """Pixels of each class and the ignored, int64 [C + 1], and what is wrong."""
    image, label = files
    dataset = Dataset(card, "", (image,), (label,) if label else None)
    counts = np.zeros(len(card.classes) + 1, np.int64)
    wrong = []
    try:
        dataset.image(0)
    except FedsegError as error:
        wrong.append(str(error))
    try:
        if label:
            by_place = np.bincount(dataset.label(0).ravel(), minlength=256)
            counts[:-1] = by_place[: len(card.classes)]
            counts[-1] = by_place[IGNORE]
    except FedsegError as error:
        wrong.append(str(error))
    return counts, wrong
