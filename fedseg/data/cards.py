"""Dataset cards: everything that distinguishes one dataset from another, as data."""

import re
from collections import Counter
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fedseg.classes import CITYSCAPES, CLASSES, IGNORE, MOST_CLASSES, Colour
from fedseg.config import Section, parse, read_toml
from fedseg.errors import FedsegError, did_you_mean
from fedseg.files import app_dir

UNKNOWN = 254
"""What a card's tables give for a value that the card does not list; see `Card.unknown`."""

ENCODINGS = ("ids", "colours", "names")
"""What label files may hold; each is a field of `CardClass`, and of `Card` with `ignore_`."""

Id = Annotated[int, Field(ge=0, le=65535)]


def _check_pattern(pattern: str) -> str:
    """See that a pattern names files below the root, by folder names and `*` alone."""
    if not pattern.strip():
        raise ValueError("a pattern is empty; give one such as 'images/*.png'")
    for wrong, why in (
        ("**", "`**` is not known; write a `*` for each folder"),
        ("?", "`?` is not known; use `*`"),
        ("[", "`[` is not known; use `*`"),
        ("\\", "write `/` between folders"),
        ("\0", "a NUL can be in no file name"),
    ):
        if wrong in pattern:
            raise ValueError(f"pattern '{pattern}': {why}")
    if pattern.startswith(("/", "~")) or re.match(r"[A-Za-z]:", pattern):
        raise ValueError(f"pattern '{pattern}': must be relative to the root")
    for part in pattern.split("/"):
        if part in ("", ".", ".."):
            raise ValueError(f"pattern '{pattern}': has an empty part, `.` or `..`; leave it out")
    for field in re.findall(r"\{[^}]*\}?|\}", pattern):
        if field != "{split}":
            raise ValueError(f"pattern '{pattern}': '{field}' is not known; only {{split}} is")
    if not re.search(r"[^*/]\.[A-Za-z0-9]+$|\*\.[A-Za-z0-9]+$", pattern):
        raise ValueError(f"pattern '{pattern}': must end in a suffix such as .png")
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]
Patterns = Annotated[
    tuple[Pattern, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]


class CardClass(Section):
    """One class of a dataset."""

    name: str
    """The dataset's own name for it, or ours where several of the dataset's make one of ours."""
    ids: tuple[Id, ...] = ()
    """Its values in label files of one channel."""
    colours: tuple[Colour, ...] = ()
    """Its colours, RGB, in label files of three."""
    names: tuple[str, ...] = ()
    """Its names in label files of polygons."""
    members: tuple[str, ...] = ()
    """Which classes of the class list, Cityscapes' 19 by default, make it up: by default the one of
    its name; for a coarser dataset, more."""
    train: bool = True
    """False leaves its pixels out of training. A class of several members can't be trained on, and
    makes a card without this an evaluation set only."""

    @model_validator(mode="before")
    @classmethod
    def _own_name(cls, data: object) -> object:
        if isinstance(data, dict) and "members" not in data and isinstance(data.get("name"), str):
            return data | {"members": (data["name"],)}
        return data

    @model_validator(mode="after")
    def _check(self) -> "CardClass":
        if not self.members:
            raise ValueError(f"class '{self.name}': list its members, or leave `members` out")
        if not (self.ids or self.colours or self.names):
            raise ValueError(f"class '{self.name}': list its ids, colours or names in label files")
        return self


class Split(Section):
    """A part of a dataset."""

    images: Patterns | None = None
    """Overrides the card's patterns."""
    labels: Patterns | None = None
    """Overrides the card's patterns."""
    labelled: bool = True
    """False where no labels are published."""
    count: int | None = None
    """Images expected; of generated data, images made."""


class Fault(Section):
    """A file of a dataset that is known to be wrong as it is distributed."""

    image: str
    """The end of the image's path: its name, with as many folders as tell it from others."""
    reason: str
    """What is wrong with it."""


class Card(Section):
    """A dataset card, `datasets/<name>.toml`."""

    name: str
    """What configurations call it."""
    title: str
    """What people call it."""
    kind: Literal["synthetic", "real", "any"]
    """Whether its images are rendered or photographed."""
    home: str | None = None
    """Home page."""
    licence: str | None = None
    """Licence, in a few words."""
    size: str | None = None
    """How much it is, for people."""
    get: str | None = None
    """How to get it, in a sentence or two."""
    layout: str | None = None
    """How its files must lie below the root, for people."""
    generator: Literal["streetsim"] | None = None
    """Set on embedded data, which is rendered where no root is given."""
    images: Patterns
    """Patterns of the images below the root; `*` stands for part of one file or folder name."""
    labels: Patterns
    """Patterns of the labels: each `*` takes what the image's `*` of the same place matched. Of
    several, the first whose file is there holds."""
    splits: dict[str, Split] = Field(min_length=1)
    """The splits by name; `{split}` in a pattern stands for it."""
    faults: tuple[Fault, ...] = ()
    """Images that are left out, with their labels, because the set as distributed has them wrong.
    A split's `count` includes them; that they were removed is no problem."""
    channel: int | None = Field(None, ge=0, le=3)
    """The channel, counted as RGBA, that holds the ids in label files of several channels."""
    ignore_ids: tuple[Id, ...] = (IGNORE,)
    """Ids that take no part in training or scoring."""
    ignore_colours: tuple[Colour, ...] = ()
    """Colours that take no part in training or scoring."""
    ignore_names: tuple[str, ...] = ()
    """Names of polygons that take no part in training or scoring."""
    classes: list[CardClass] = Field(
        default_factory=lambda: [
            CardClass(name=name, ids=(train_id,)) for train_id, name in enumerate(CLASSES)
        ],
        max_length=MOST_CLASSES,
    )
    """The dataset's classes in the order of its tables; default: trainIds."""

    @model_validator(mode="after")
    def _check(self) -> "Card":
        for kind in ENCODINGS:
            listed = [value for entry in self.classes for value in getattr(entry, kind)]
            listed += getattr(self, f"ignore_{kind}")
            if twice := {str(value) for value, count in Counter(listed).items() if count > 1}:
                raise ValueError(f"classes: listed twice in {kind}: {', '.join(sorted(twice))}")
        members = [member for entry in self.classes for member in entry.members]
        if twice := {member for member, count in Counter(members).items() if count > 1}:
            raise ValueError(
                f"classes: '{min(twice)}' is a member of two; make them one class with both's "
                "ids, colours or names"
            )
        for name in self.splits:
            stars = [pattern.count("*") for pattern in self.image_patterns(name)]
            if any(pattern.count("*") > min(stars) for pattern in self.label_patterns(name)):
                raise ValueError(f"split '{name}': a label pattern has more '*' than the images'")
        return self

    @property
    def is_coarse(self) -> bool:
        """Whether a class of it has several members."""
        return any(len(entry.members) > 1 for entry in self.classes)

    def lists(self, kind: str) -> bool:
        """Whether classes are given by "ids", "colours" or "names"."""
        return any(getattr(entry, kind) for entry in self.classes)

    def split(self, name: str | None) -> str:
        """The split meant by `name`; None means the only one, or the one called "all".

        Raises:
            FedsegError: the card has no such split, or several to choose from.
        """
        if name is None and ("all" in self.splits or len(self.splits) == 1):
            return "all" if "all" in self.splits else next(iter(self.splits))
        if name is None:
            raise FedsegError(
                f"{self.name}: no split chosen; the card has {', '.join(self.splits)}"
            )
        if name not in self.splits:
            raise FedsegError(
                f"{self.name}: the card has no split '{name}'; {did_you_mean(name, self.splits)}"
            )
        return name

    def image_patterns(self, split: str) -> list[str]:
        """Patterns of a split's images below the root."""
        patterns = self.splits[split].images or self.images
        return [pattern.replace("{split}", split) for pattern in patterns]

    def label_patterns(self, split: str) -> list[str]:
        """Patterns of a split's labels below the root."""
        patterns = self.splits[split].labels or self.labels
        return [pattern.replace("{split}", split) for pattern in patterns]

    @property
    def unknown(self) -> int:
        """`UNKNOWN`, or 256 where that is the place of a class and tables are uint16."""
        return UNKNOWN if len(self.classes) <= UNKNOWN else 256

    @cached_property
    def id_table(self) -> np.ndarray:
        """uint8 or uint16 [65536]: id -> place in `classes`, IGNORE or `unknown`."""
        table = self._unknown_table(1 << 16)
        for value, place in self._places("ids").items():
            table[value] = place
        return table

    @cached_property
    def colour_table(self) -> np.ndarray:
        """uint8 or uint16 [2**24]: R + 256 G + 65536 B -> as of `id_table`."""
        table = self._unknown_table(1 << 24)
        for (red, green, blue), place in self._places("colours").items():
            table[red | green << 8 | blue << 16] = place
        return table

    @cached_property
    def usual_colours(self) -> np.ndarray:
        """Like `colour_table`, of Cityscapes' colours for the classes that are one of the 19."""
        table = self._unknown_table(1 << 24)
        for place, entry in enumerate(self.classes):
            if len(entry.members) == 1 and entry.members[0] in CLASSES:
                train_id = CITYSCAPES.train_ids[entry.members[0]]
                red, green, blue = map(int, CITYSCAPES.palette[train_id])
                table[red | green << 8 | blue << 16] = place
        return table

    @cached_property
    def fault_paths(self) -> tuple[tuple[str, ...], ...]:
        """The parts of each known fault's path."""
        return tuple(tuple(fault.image.split("/")) for fault in self.faults)

    @property
    def largest_id(self) -> int:
        """The largest id that stands for a class; -1 where ids stand for none."""
        return max((value for entry in self.classes for value in entry.ids), default=-1)

    @cached_property
    def polygon_table(self) -> dict[str, int]:
        """Name of a polygon -> place in `classes`, or IGNORE."""
        return self._places("names")

    def _unknown_table(self, size: int) -> np.ndarray:
        return np.full(size, self.unknown, np.min_scalar_type(self.unknown))

    def _places(self, kind: str) -> dict[Any, int]:
        ignored = dict.fromkeys(getattr(self, f"ignore_{kind}"), IGNORE)
        return ignored | {
            value: place
            for place, entry in enumerate(self.classes)
            for value in getattr(entry, kind)
        }


@cache
def load_card(name: str) -> Card:
    """The card of that name in datasets/, or in the file of that path.

    Raises:
        FedsegError: there is none (with near matches), or it has a mistake.

    Examples:
        >>> import fedseg
        >>> card = fedseg.load_card("camvid")
        >>> card.kind, list(card.splits), card.is_coarse
        ('real', ['train', 'val', 'test'], True)
    """
    path = card_file(name)
    if not name.endswith(".toml") and not path.is_file():
        raise FedsegError(f"no dataset card '{name}'; {did_you_mean(name, card_names())}")
    return parse(Card, read_toml(path), path)


def card_file(name: str) -> Path:
    """The file of a card, whether it is there or not."""
    return Path(name) if name.endswith(".toml") else app_dir() / "datasets" / f"{name}.toml"


def card_names() -> list[str]:
    """Names of the cards that come with fedseg.

    Examples:
        >>> import fedseg
        >>> fedseg.card_names()[:4]
        ['acdc', 'bdd100k', 'camvid', 'camvid-32']
    """
    return sorted(path.stem for path in (app_dir() / "datasets").glob("*.toml"))
