"""Where a dataset's files lie below its root, and whose files lie below a root."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from fedseg.data.cards import Card, card_names, load_card
from fedseg.errors import FedsegError


def find_pairs(card: Card, split: str, root: Path) -> list[tuple[Path, Path]]:
    """Each image of a split with the path of its label, sorted; neither need be a regular file.

    Hidden files and folders (`.name`) are left out, as in a shell, and so are the card's known
    faults. Suffixes match in upper and lower case.
    """
    pairs = sorted(dict(_pairs(card, split, root)).items())
    return [pair for pair in pairs if not _is_fault(card, pair[0])]


def find_faults(card: Card, split: str, root: Path) -> list[tuple[Path, Path]]:
    """The pairs of a split that are known to be wrong, and left out."""
    pairs = sorted(dict(_pairs(card, split, root)).items()) if card.faults else []
    return [pair for pair in pairs if _is_fault(card, pair[0])]


def _is_fault(card: Card, image: Path) -> bool:
    return any(image.parts[-len(parts) :] == parts for parts in card.fault_paths)


def find_labels(card: Card, split: str, root: Path) -> set[Path]:
    """Every file that lies where the labels of a split lie, whether it has an image or not."""
    listing = Listing()
    return {
        path for pattern in card.label_patterns(split) for path, _ in listing.match(root, pattern)
    }


def label_twins(pairs: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Pairs of images that differ in the suffix alone, and so have one label."""
    first: dict[Path, Path] = {}
    found = []
    for image, _ in pairs:
        other = first.setdefault(image.with_suffix(""), image)
        if other != image:
            found.append((other, image))
    return found


class Listing:
    """Names in folders, each folder read once."""

    def __init__(self) -> None:
        self._names: dict[Path, list[str]] = {}
        self._by_key: dict[Path, dict[str, str]] = {}

    def match(self, folder: Path, pattern: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
        """Paths below a folder that match a pattern, and what each `*` stands for."""
        head, _, rest = pattern.partition("/")
        if rest and "*" not in head:
            yield from self.match(folder / head, rest)
            return
        for name in self._visible(folder, head):
            if (stars := match_stars(head, name, is_folder=bool(rest))) is None:
                continue
            below = self.match(folder / name, rest) if rest else [(folder / name, ())]
            for path, others in below:
                yield path, stars + others

    def find(self, path: Path) -> Path:
        """The file that is there for a path, by suffix in either case and any Unicode form."""
        if path.parent not in self._by_key:
            names = self._visible(path.parent, "")
            self._by_key[path.parent] = {_key(name): name for name in reversed(names)}
            self._by_key[path.parent] |= {name: name for name in names}  # as it is written, first
        known = self._by_key[path.parent]
        name = known.get(path.name) or known.get(_key(path.name))
        return path.with_name(name) if name else path

    def _visible(self, folder: Path, pattern: str) -> list[str]:
        if folder not in self._names:
            try:
                self._names[folder] = sorted(path.name for path in folder.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                self._names[folder] = []
            except OSError as error:
                raise FedsegError(f"{folder}: can't be read ({error.strerror})") from None
        shows_hidden = pattern.startswith(".")
        return [name for name in self._names[folder] if shows_hidden or not name.startswith(".")]


def match_stars(pattern: str, name: str, is_folder: bool = False) -> tuple[str, ...] | None:
    """What each `*` of a pattern stands for in a name; None where the name does not match.

    Earlier stars take as much as they can. A regular expression would try every way to share a
    name among them, in time that grows with a power of their number.

    Args:
        pattern: of one name: `*` stands for any part of it, a suffix for either case of it.
        name: of a file or folder.
        is_folder: whether a suffix is none.
    """
    stem, dot, suffix = pattern.rpartition(".")
    if dot and "*" not in suffix and not is_folder:
        cut = max(len(name) - len(suffix) - 1, 0)
        has_suffix = name[cut:].lower() == f".{suffix.lower()}"
        return match_stars(stem, name[:cut], True) if has_suffix else None
    if "*" not in pattern:
        return () if name == pattern else None
    first, *between, last = pattern.split("*")
    end = len(name) - len(last)
    if end < len(first) or not (name.startswith(first) and name.endswith(last)):
        return None
    stars: list[str] = []
    for literal in reversed(between):  # each as far to the right as it can be
        place = name.rfind(literal, len(first), end)
        if place < 0:
            return None
        stars.append(name[place + len(literal) : end])
        end = place
    return (name[len(first) : end], *reversed(stars))


def _key(name: str) -> str:
    """What names of one file have in common: macOS writes accents as characters of their own."""
    stem, dot, suffix = unicodedata.normalize("NFC", name).rpartition(".")
    return f"{stem}{dot}{suffix.lower()}"


def nothing_found(card: Card, splits: Iterable[str], root: Path) -> FedsegError:
    """The error for a root that holds no image of these splits."""
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
    labels, listing = card.label_patterns(split), Listing()
    for pattern in card.image_patterns(split):
        for image, matched in listing.match(root, pattern):
            places = [listing.find(root / _fill(label, matched)) for label in labels]
            yield image, next((place for place in places if place.is_file()), places[0])


def _fill(pattern: str, matched: Iterable[str]) -> str:
    parts = iter(matched)
    return re.sub(r"\*", lambda _: next(parts), pattern)


def _hint(card: Card, root: Path) -> str:
    """What the root may hold instead."""
    held = [split for split in card.splits if next(_pairs(card, split, root), None)]
    if held:
        return "it does hold " + ", ".join(held)
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
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
