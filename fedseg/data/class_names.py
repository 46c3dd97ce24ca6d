"""Which classes of a class list exist: in dataset cards, or among Cityscapes' labels."""

from collections.abc import Collection, Iterable, Sequence

from fedseg.classes import CLASSES, OTHER_LABELS, ClassList
from fedseg.config import Federation
from fedseg.data.cards import Card
from fedseg.data.own_datasets import source_card
from fedseg.errors import FedsegError, did_you_mean

SHOWN = 5
"""Unknown names that an error lists."""
MISSING_SHOWN = 20
"""Classes without pixels that a note lists."""


def class_names(cards: Iterable[Card]) -> set[str]:
    """Names by which a class list can refer to the classes of some cards."""
    return {member for card in cards for entry in card.classes for member in entry.members}


def unknown_names(classes: ClassList, cards: Collection[Card], others: Iterable[str] = ()) -> str:
    """Describe the names in a class list that are no class of a card and no label of Cityscapes.

    A class that has `members` may have any name.

    Args:
        classes: the list.
        cards: all that are known.
        others: more names that are known.

    Returns:
        Each name with the nearest known ones; empty if all are known.
    """
    known = {*class_names(cards), *others, *CLASSES, *OTHER_LABELS}
    unknown = {
        part: f" in '{name}'" * (part != name)
        for name in classes.names
        for part in classes.members.get(name) or (name,)
        if part not in known
    }
    shown = [
        f"'{name}'{where} ({_hint(name, cards, known)})"
        for name, where in list(unknown.items())[:SHOWN]
    ]
    more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    return ", ".join(shown) + more


def check_known(unknown: str) -> None:
    """Raise the error of a class list with unknown names.

    Args:
        unknown: what `unknown_names` returned.

    Raises:
        FedsegError: it is not empty.
    """
    if unknown:
        raise FedsegError(
            f"classes: no dataset card of the federation has {unknown}; correct the name, or list "
            "the cards' classes that belong to it in [classes.members]"
        )


def check_class_names(federation: Federation) -> None:
    """See that the class list names only classes of the federation's dataset cards. Needs no torch.

    Nothing is checked where the card of a participant is not known here: it may have any class.

    Raises:
        FedsegError: a name that no card has, with the nearest one.
    """
    everyone = [*federation.clients, *federation.evaluators, *federation.evaluation]
    try:
        cards = [source_card(source) for source in [*everyone, federation.server]]
    except FedsegError:  # of a card, which is reported with its owner, or of a deployed node
        return
    check_known(unknown_names(federation.classes, cards))


def untrained_classes(classes: ClassList, pixels: Sequence[int]) -> str:
    """Name the classes that nobody can learn; empty if there are none.

    Args:
        classes: of the federation.
        pixels: labelled pixels of each class at all clients.
    """
    missing = [name for name, count in zip(classes.names, pixels, strict=True) if not count]
    shown = ", ".join(missing[:MISSING_SHOWN])
    more = f" and {len(missing) - MISSING_SHOWN} more" if len(missing) > MISSING_SHOWN else ""
    which = f"{len(missing)} of the {len(classes)} classes: {shown}{more}"
    return f"no client has a labelled pixel of {which}; no model will know them" if missing else ""


def _hint(name: str, cards: Iterable[Card], known: Iterable[str]) -> str:
    """What was probably meant by an unknown name."""
    for card in cards:
        for entry in card.classes:
            if entry.name == name:
                return f"the card '{card.name}' calls {', '.join(entry.members)} so"
    return did_you_mean(name, known)
