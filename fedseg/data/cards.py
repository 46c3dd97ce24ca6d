"""Dataset cards: everything that distinguishes one dataset from another, as data."""

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from fedseg.classes import CLASSES, IGNORE, NUM_CLASSES
from fedseg.config import Section, parse, read_toml
from fedseg.errors import FedsegError, did_you_mean
from fedseg.files import app_dir

UNKNOWN = 254
"""What a card's tables give for a label id that the card does not list."""


class CardClass(Section):
    """One class of a dataset."""

    name: str
    """The dataset's own name for it."""
    ids: tuple[int, ...]
    """Values in the label files."""
    members: tuple[str, ...] = Field(min_length=1)
    """Which of the 19 classes make it up: one for a dataset as fine as ours, more for a coarser."""


class Split(Section):
    """A part of a dataset."""

    images: list[str] | None = None
    """Overrides the card's patterns."""
    labels: str | None = None
    """Overrides the card's pattern."""
    count: int | None = None
    """Images expected; of generated data, images made."""


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
    generator: Literal["streetsim"] | None = None
    """Set on embedded data, which is rendered where no root is given."""
    images: list[str]
    """Patterns of the images below the root; `*` stands for part of one file or folder name."""
    labels: str
    """Pattern of the labels: each `*` takes what the image's `*` of the same place matched."""
    splits: dict[str, Split] = Field(min_length=1)
    """The splits by name; `{split}` in a pattern stands for it."""
    ignore_ids: tuple[int, ...] = (IGNORE,)
    """Label values that take no part in training or scoring."""
    classes: tuple[CardClass, ...] = tuple(
        CardClass(name=name, ids=(train_id,), members=(name,))
        for train_id, name in enumerate(CLASSES)
    )
    """The dataset's classes in the order of its tables; default: trainIds."""

    @model_validator(mode="after")
    def _check(self) -> "Card":
        for entry in self.classes:
            for member in entry.members:
                if member not in CLASSES:
                    hint = did_you_mean(member, CLASSES)
                    raise ValueError(f"class '{entry.name}': no class '{member}'; {hint}")
        ids = [value for entry in self.classes for value in entry.ids]
        ids += self.ignore_ids
        if len(set(ids)) < len(ids):
            raise ValueError("classes: a label id is listed twice")
        return self

    @property
    def is_fine(self) -> bool:
        """Whether each class is one of the 19, so that the dataset can be trained on."""
        return all(len(entry.members) == 1 for entry in self.classes)

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

    def class_table(self) -> np.ndarray:
        """uint8 [256]: label id -> place in `classes`, IGNORE or UNKNOWN."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[list(self.ignore_ids)] = IGNORE
        for index, entry in enumerate(self.classes):
            table[list(entry.ids)] = index
        return table

    def membership(self) -> np.ndarray:
        """float32 [C, 19]: 1 where a class of the card takes in one of ours.

        Multiplied by probabilities over the 19 it sums them as the card says.
        """
        matrix = np.zeros((len(self.classes), NUM_CLASSES), np.float32)
        for index, entry in enumerate(self.classes):
            matrix[index, [CLASSES.index(member) for member in entry.members]] = 1
        return matrix


@cache
def load_card(name: str) -> Card:
    """The card of that name in datasets/, or in the file of that path.

    Raises:
        FedsegError: there is none (with near matches), or it has a mistake.
    """
    if name.endswith(".toml"):
        path = Path(name)
    else:
        path = app_dir() / "datasets" / f"{name}.toml"
        if not path.is_file():
            raise FedsegError(f"no dataset card '{name}'; {did_you_mean(name, card_names())}")
    return parse(Card, read_toml(path), path)


def card_names() -> list[str]:
    """Names of the cards that come with fedseg."""
    return sorted(path.stem for path in (app_dir() / "datasets").glob("*.toml"))
