"""The identity of a dataset: what its files hold, not where they lie or when they were written."""

from fedseg.data.cards import Card
from fedseg.data.dataset import Dataset
from fedseg.files import digest
from fedseg.storage.hashes import file_hashes

PROSE = {"title", "kind", "home", "licence", "size", "get", "layout"}
PATTERNS = {"images", "labels", "splits", "generator"}
"""Fields of a card that do not change how a file is read. Which files are read, hashes tell."""


def data_inputs(dataset: Dataset) -> dict[str, str]:
    """What a product that is made from a dataset was made from.

    Args:
        dataset: the dataset.

    Returns:
        Digests of the `images` and the `labels`, in order, and of what the `card` says of reading
        them.
    """
    files = [*dataset.images, *(dataset.labels or ())]
    hashes = file_hashes(files)
    count = len(dataset.images)
    return {
        "images": digest(hashes[:count]),
        "labels": digest(hashes[count:]),
        "card": card_reading(dataset.card),
    }


def card_reading(card: Card) -> str:
    """A digest of what a card says of reading files."""
    return digest(card.model_dump_json(exclude=PROSE | PATTERNS))


def fingerprint(dataset: Dataset) -> str:
    """A short name for all that `data_inputs` gives."""
    return digest(sorted(data_inputs(dataset).items()))
