"""What a node says of its data before it is asked to do anything. Needs no torch."""

import logging
from collections.abc import Callable, Iterable

from pydantic import Field

from fedseg.classes import CITYSCAPES, MOST_CLASSES, ClassList
from fedseg.config import Evaluator, Name, Section, Source
from fedseg.data.class_names import class_names
from fedseg.data.dataset import open_dataset
from fedseg.data.label_map import LabelMap
from fedseg.data.own_datasets import source_card
from fedseg.errors import FedsegError, plain

log = logging.getLogger("flwr")


class Question(Section):
    """What the server asks a node first: its names, and what its evaluators have."""

    classes: ClassList = CITYSCAPES
    """Class list of the federation."""


class Introduction(Section):
    """What an evaluator says of its set before it is asked to score anything."""

    name: Name
    """The evaluator's name in the federation."""
    dataset: str = Field("", max_length=100)
    """Name of its dataset card."""
    split: str = Field("", max_length=100)
    """Split of the card."""
    images: int = Field(0, ge=0, le=10**9)
    """Number of images that its score rests on."""
    classes: tuple[str, ...] = Field((), max_length=MOST_CLASSES)
    """Classes that it is scored over."""
    problem: str = Field("", max_length=2000)
    """Reason why it has nothing to score on; empty if it has."""


def known_names(sources: Iterable[Source], classes: ClassList) -> list[str] | None:
    """Names in a federation's class list that are classes of a node's dataset cards.

    Args:
        sources: the data of the node's participants.
        classes: of the federation.

    Returns:
        Sorted; None where a card can't be read.
    """
    try:
        known = class_names(source_card(source) for source in sources)
    except FedsegError:  # which follows when the data is used
        return None
    return sorted(known & classes.train_ids.keys())


def introduce(
    evaluator: Evaluator,
    explain: Callable[[Exception], str] = str,
    classes: ClassList = CITYSCAPES,
) -> Introduction:
    """Say what an evaluator has, or why it has nothing.

    Args:
        evaluator: its half of the configuration.
        explain: gives the text that may be sent about an error.
        classes: of the federation.
    """
    try:
        dataset = open_dataset(evaluator)
        names = tuple(LabelMap(dataset.card, classes).names)
    except FedsegError as error:
        log.error("evaluator '%s': %s", evaluator.name, error)
        return Introduction(name=evaluator.name, problem=plain(explain(error)))
    return Introduction(
        name=evaluator.name,
        dataset=dataset.card.name,
        split=dataset.split,
        images=len(dataset),
        classes=names,
    )
