"""A check of a dataset on disk: everything that is wrong with it, not only the first thing."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fedseg.data.cards import Card
from fedseg.data.dataset import Dataset, generated_root
from fedseg.data.layout import find_faults, find_labels, find_pairs, label_twins, nothing_found
from fedseg.data.loading import prefetch
from fedseg.data.sampling import spread_indices
from fedseg.data.survey import label_counts
from fedseg.errors import FedsegError
from fedseg.machine import cpus
from fedseg.run.progress import Progress, silent

SAMPLE = 50
"""Images that are opened where not all are to be."""
SHOWN = 3
"""Files that a line about several of them names."""


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
    notes: list[str]
    """What is worth knowing, but no reason not to use the dataset."""


def check(
    card: Card,
    root: Path | None,
    split: str | None = None,
    everything: bool = False,
    progress: Progress = silent,
) -> Report:
    """Find the files of a dataset, and open a sample spread evenly over them, or every one.

    Args:
        card: the dataset's.
        root: its folder; None for embedded data, which is rendered into the cache first.
        split: one of the card's; default: every split that has an image.
        everything: whether to open all files.
        progress: receives the state of the work.

    Raises:
        FedsegError: there is no such split, no image at all, or no root where one is needed.
    """
    splits = list(card.splits) if split is None else [card.split(split)]
    if root is None:
        roots = [generated_root(card, name, progress, "rendering data") for name in splits]
        root = roots[0]
    pairs = {name: find_pairs(card, name, root) for name in splits}
    if not any(pairs.values()):
        raise nothing_found(card, splits, root)

    problems: list[str] = []
    notes: list[str] = []
    files: dict[Path, Path | None] = {}  # a card's splits may overlap
    for name in splits:
        # Of a set in one piece, the splits are another way to lay it out.
        if pairs[name] or not pairs.get("all"):
            _compare_counts(card, name, root, len(pairs[name]), problems, notes)
        if pairs[name] and card.splits[name].labelled:
            _compare_files(card, name, root, pairs[name], problems, notes)
        for image, label in pairs[name]:
            has_label = card.splits[name].labelled and label.is_file()
            files[image] = label if has_label else files.get(image)

    chosen = list(files.items())
    if not everything:
        chosen = [chosen[index] for index in spread_indices(len(chosen), SAMPLE)]
    pixels = np.zeros(len(card.classes) + 1, np.int64)
    oriented: dict[tuple[int, bool], list[Path]] = {}
    unreadable: list[Problem] = []
    threads = cpus()
    results = prefetch(partial(_open, card), chosen, threads, 4 * threads)
    for done, ((image, _), opened) in enumerate(zip(chosen, results, strict=True), 1):
        pixels += opened.pixels
        unreadable += opened.problems
        if opened.orientation != (1, False):
            oriented.setdefault(opened.orientation, []).append(image)
        progress("checking", done, len(chosen))
    problems += by_kind(list(dict.fromkeys(unreadable)))  # a label's check may name the image
    for (orientation, is_turned), images in sorted(oriented.items()):
        done_so = "turned upright" if is_turned else "kept as stored, as their labels fit only so"
        notes.append(f"EXIF orientation {orientation}, {done_so}: {_names(images)}")
    found = {name: len(pairs[name]) for name in splits}
    problems, notes = (list(dict.fromkeys(lines)) for lines in (problems, notes))
    return Report(found, len(chosen), pixels, problems, notes)


def _compare_counts(
    card: Card, split: str, root: Path, found: int, problems: list[str], notes: list[str]
) -> None:
    """How many images a split has, and should have."""
    if faults := find_faults(card, split, root):
        names = _names([image for image, _ in faults])
        notes.append(f"known faults of the set, left out: {names} ({card.faults[0].reason})")
    if not found:  # others are there
        patterns = " or ".join(card.image_patterns(split)[:3])
        notes.append(f"{root}: no image of split '{split}'; looked for {patterns}")
        return
    expected = card.splits[split].count
    if expected is None or expected - len(card.faults) <= found <= expected:
        return
    line = f"{root}: split '{split}' has {found} images, {expected} are published"
    (notes if found < expected else problems).append(line)


def _compare_files(
    card: Card,
    split: str,
    root: Path,
    pairs: list[tuple[Path, Path]],
    problems: list[str],
    notes: list[str],
) -> None:
    """Images without labels, labels without images, and images that share a label."""
    missing = [(image, label) for image, label in pairs if not label.is_file()]
    if len(missing) == 1:
        [(image, label)] = missing
        problems.append(f"{image}: has no label; expected {label}")
    elif missing:
        problems.append(
            f"{len(missing)} images have no label: {_names([image for image, _ in missing])}; "
            f"expected {missing[0][1]} and so on"
        )
    problems += by_kind(
        [
            Problem(one, f"two images with one label, with {other.name}")
            for one, other in label_twins(pairs)
        ]
    )
    used = {label for _, label in pairs}
    used |= {label for _, label in find_faults(card, split, root)}
    strays = sorted(find_labels(card, split, root) - used)
    beside, alone = _sort_strays(strays, used)
    for ending, files in beside.items():
        notes.append(f"{len(files)} files *{ending} beside the labels are not used")
    if len(alone) == 1:
        problems.append(f"{alone[0]}: is a label without an image")
    elif alone:
        problems.append(f"{len(alone)} labels have no image: {_names(alone)}")


def _sort_strays(strays: list[Path], used: set[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    """Tell files that another tool made of a label ("7_labelTrainIds.png") from other labels.

    Returns:
        The former by what their names add to the label's; and the latter.
    """
    beside: dict[str, list[Path]] = {}
    alone = []
    labels = {path.with_suffix("") for path in used}
    for stray in strays:
        stem = stray.stem
        cuts = [place for place, letter in enumerate(stem) if letter in "_-." and place]
        cut = next((c for c in cuts if stray.with_name(stem[:c]) in labels), None)
        if cut is None:
            alone.append(stray)
        else:
            beside.setdefault(stem[cut:] + stray.suffix, []).append(stray)
    return beside, alone


def _names(files: list[Path]) -> str:
    """The first of some files, and how many more there are."""
    shown = ", ".join(str(path) for path in files[:SHOWN])
    return shown + (f" and {len(files) - SHOWN} more" if len(files) > SHOWN else "")


class Problem(NamedTuple):
    """What is wrong with a file."""

    file: Path
    reason: str


def by_kind(problems: list[Problem]) -> list[str]:
    """A line for each kind of problem: how many files have it, and the first of them.

    Reasons that differ in numbers, or in the names of files, are of one kind.
    """
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        words = problem.reason.split()
        kind = " ".join("#" if re.search(r"\d", word) else word for word in words)
        kinds.setdefault(kind, []).append(problem)
    return [
        f"{found[0].file}: {found[0].reason}"
        if len(found) == 1
        else f"{len(found)} files: {_names([one.file for one in found])}: {found[0].reason}"
        for found in kinds.values()
    ]


class _Opened(NamedTuple):
    """What was found in an image and its label."""

    pixels: np.ndarray
    """int64 [C + 1]: of each class, and those ignored."""
    problems: list[Problem]
    orientation: tuple[int, bool]
    """The image's EXIF orientation, and whether it was turned upright."""


def _open(card: Card, files: tuple[Path, Path | None]) -> _Opened:
    """Open an image and its label."""
    image, label = files
    dataset = Dataset(card, "", (image,), (label,) if label else None)
    counts = np.zeros(len(card.classes) + 1, np.int64)
    wrong: list[Problem] = []
    orientation = (1, False)
    try:
        picture = dataset.picture(0)
        orientation = (picture.orientation, picture.is_turned)
    except FedsegError as error:
        wrong.append(_problem(files, error))
    try:
        if label:
            counts = label_counts(dataset, 0)
    except FedsegError as error:
        wrong.append(_problem(files, error))
    return _Opened(counts, wrong, orientation)


def _problem(files: tuple[Path, Path | None], error: FedsegError) -> Problem:
    """An error of an image or its label, which names the file first."""
    image, label = files
    file = label if label and str(error).startswith(f"{label}: ") else image
    return Problem(file, str(error).removeprefix(f"{file}: "))
