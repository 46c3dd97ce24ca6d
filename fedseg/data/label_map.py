"""What the classes of a card are in a class list: for training, and for scoring."""

from collections.abc import Sequence

import numpy as np

from fedseg.classes import CITYSCAPES, CLASSES, IGNORE, ClassList
from fedseg.data.cards import Card, CardClass
from fedseg.errors import FedsegError, did_you_mean

TrainIds = tuple[int, ...]


class LabelMap:
    """A card's classes in a class list.

    A class of the card that is in part outside of the list is ignored, in training and in scoring.

    Args:
        card: whose.
        classes: the list.

    Raises:
        FedsegError: a member of a class of the card is in no list, or none of them in this one.

    Attributes:
        names: classes that the dataset is scored over: those of the list; its `scored` ones; or,
            where classes of the card are coarser, these.
        membership: float32 [len(names), C], 1 where one of `names` takes in one of the list;
            multiplied by probabilities it sums them. None where `names` are those of the list.
    """

    def __init__(self, card: Card, classes: ClassList = CITYSCAPES) -> None:
        self._card, self._classes = card, classes
        self._train_ids = [_train_ids(card, entry, classes) for entry in card.classes]
        if not any(self._train_ids):
            raise FedsegError(
                f"{card.name}: none of its classes is one of the class list, "
                f"{', '.join(classes.names)}; name them as `members` in the card or in [classes]"
            )
        self._groups = self._scored_groups()
        self.names = list(self._groups) if self._groups else list(classes.names)
        self.membership = self._membership() if self._groups else None

    def train_ids(self) -> np.ndarray:
        """uint8 [256]: place in the card's class list -> trainId, or 255: not trained on.

        Raises:
            FedsegError: the card is coarser than the class list, so it can only be scored on.
        """
        table = np.full(256, IGNORE, np.uint8)
        for place, (entry, found) in enumerate(
            zip(self._card.classes, self._train_ids, strict=True)
        ):
            if entry.train and len(found) > 1:
                raise FedsegError(
                    f"{self._card.name}: its classes are coarser than the {len(self._classes)} "
                    "classes, so it can be evaluated on, but not trained on"
                )
            if entry.train and found:
                [table[place]] = found
        return table

    def scored_ids(self) -> np.ndarray:
        """uint8 [256]: place in the card's class list -> place in `names`, or 255."""
        if not self._groups:
            return self.train_ids()
        table = np.full(256, IGNORE, np.uint8)
        for place, found in enumerate(self._train_ids):
            for index, group in enumerate(self._groups.values()):
                if found and set(found) <= set(group):
                    table[place] = index
        return table

    def members(self) -> list[tuple[str, ...]]:
        """Names in the class list of what each of the card's classes becomes; none: ignored."""
        return [tuple(self._classes.names[c] for c in found) for found in self._train_ids]

    def colours(self) -> np.ndarray:
        """RGB colour of each of `names`, of its first class: uint8 [256, 3]; the rest is black."""
        if not self._groups:
            return self._classes.colour_table()
        return _table([self._classes.palette[first] for first, *_ in self._groups.values()])

    def card_colours(self) -> np.ndarray:
        """RGB colour of each of the card's classes, of its first: uint8 [256, 3]; else black."""
        black = np.zeros(3, np.uint8)
        palette = self._classes.palette
        return _table([palette[found[0]] if found else black for found in self._train_ids])

    def _scored_groups(self) -> dict[str, TrainIds]:
        """The classes that are scored, where they are not those of the list."""
        if self._classes.scored:
            scored = self._classes.scored.items()
            names = self._classes.names
            return {group: tuple(map(names.index, parts)) for group, parts in scored}
        if all(len(found) <= 1 for found in self._train_ids):
            return {}
        groups: dict[str, TrainIds] = {}
        for entry, found in zip(self._card.classes, self._train_ids, strict=True):
            if not found:
                continue
            name = entry.name
            for other in [other for other, group in groups.items() if {*group} & {*found}]:
                found = tuple(dict.fromkeys(groups.pop(other) + found))
                name = self._classes.names[found[0]] if len(found) == 1 else f"{other}, {name}"
            groups[name] = groups.get(name, ()) + found
        return groups

    def _membership(self) -> np.ndarray:
        matrix = np.zeros((len(self._groups), len(self._classes)), np.float32)
        for row, group in zip(matrix, self._groups.values(), strict=True):
            row[list(group)] = 1
        return matrix


def names_cityscapes(card: Card) -> bool:
    """Whether a card names Cityscapes' classes alone, and not those of another class list."""
    return all(member in CLASSES for entry in card.classes for member in entry.members)


def _train_ids(card: Card, entry: CardClass, classes: ClassList) -> TrainIds:
    """TrainIds of the classes that a card's class takes in; none if it goes beyond the list."""
    for member in entry.members:
        if member not in classes.train_ids and (classes == CITYSCAPES or member not in CLASSES):
            hint = did_you_mean(member, [*classes.train_ids])
            other = "; for other class lists see docs/classes.md" * (classes == CITYSCAPES)
            raise FedsegError(
                f"{card.name}: class '{entry.name}': no class '{member}'; {hint}{other}"
            )
    found = [classes.train_ids.get(member) for member in entry.members]
    known = [train_id for train_id in found if train_id is not None]
    return tuple(dict.fromkeys(known)) if len(known) == len(found) else ()


def _table(colours: Sequence[np.ndarray]) -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    return table
