"""Where a dataset's files lie below its root, and whose files lie below a root."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from fedseg.data.cards import Card, card_names, load_card
from fedseg.errors import FedsegError


def find_pairs(card: Card, split: str, root: Path) -> list[tuple[Path, Path]]:
    """Each image of a split with the path of its label, sorted; the label need not be there."""
    return sorted(_pairs(card, split, root))


def find_labels(card: Card, split: str, root: Path) -> set[Path]:
    """Every file that lies where the labels of a split lie, whether it has an image or not."""
    return {path for pattern in card.label_patterns(split) for path in root.glob(pattern)}


def nothing_found(card: Card, splits: Iterable[str], root: Path) -> FedsegError:
    """What is said of a root that holds no image of these splits."""
    splits = list(splits)
    if not root.is_dir():
        return FedsegError(f"{root}: no such folder; set the root of dataset '{card.name}'")
    wanted = list(dict.fromkeys(p for split in splits for p in card.image_patterns(split)))
    named = " or ".join(wanted[:3]) + (" or ..." if len(wanted) > 3 else "")
    which = f"split '{splits[0]}'" if len(splits) == 1 else "any split"
    return FedsegError(
        f"{root}: no image of {card.name}, {which}; looked for {named}; {_hint(card, root)}"
    )


def _pairs(card: Card, split: str, root: Path) -> Iterator[tuple[Path, Path]]:
    labels = card.label_patterns(split)
    for pattern in card.image_patterns(split):
        stars = re.compile(re.escape(pattern).replace(r"\*", "([^/]*)"))
        for image in root.glob(pattern):
            matched = stars.fullmatch(image.relative_to(root).as_posix()).groups()
            places = [root / _fill(label, matched) for label in labels]
            yield image, next((place for place in places if place.is_file()), places[0])


def _fill(pattern: str, matched: Iterable[str]) -> str:
    parts = iter(matched)
    return re.sub(r"\*", lambda _: next(parts), pattern)


def _hint(card: Card, root: Path) -> str:
    """What the root may hold instead."""
    held = [split for split in card.splits if next(_pairs(card, split, root), None)]
    if held:
        return "it does hold " + ", ".join(held)
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    nested = [path for path in folders[:100] if _has_layout(card, path)]
    if nested:
        return f"its files lie in {nested[0]}; make that the root"
    others = [name for name in card_names() if name != card.name and not load_card(name).generator]
    alike = [f"'{name}'" for name in others if _has_layout(load_card(name), root)]
    if alike:
        return f"it looks like card {' or '.join(alike)}"
    return "is it the right root?" + (f" Expected layout: {card.layout}" if card.layout else "")


def _has_layout(card: Card, root: Path) -> bool:
    """Whether some of the first images of a split have a label where the card says."""
    return any(
        label.is_file()
        for split, part in card.splits.items()
        if part.labelled
        for _, label in islice(_pairs(card, split, root), 5)
    )
