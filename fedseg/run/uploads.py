"""What comes beside a client's weights, as the client and the server keep it."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from fedseg.config import Name, Section
from fedseg.files import read_json
from fedseg.models.info import MOST_METADATA, Base, Info
from fedseg.storage.records import parse_record

UPLOAD = "upload.json"
"""File of the checkpoint folder that a client's training leaves: what it would send."""
ACCEPTED = "client.json"
"""File of a client's checkpoint folder in a run: what the server accepted."""
MOST_IMAGES = 10**9
"""More than any dataset has."""


def _no_path(dataset: str) -> str:
    """See that a card's name can be shown, and leads to no file of the server's."""
    if not dataset.isprintable() or "/" in dataset or dataset.endswith(".toml"):
        raise ValueError("not the name of a dataset card; the card's own `name` is sent")
    return dataset


class Upload(Section):
    """The metadata that a client sends beside its weights. Nothing else leaves it."""

    name: Name
    """The client's name in the federation."""
    dataset: Annotated[str, Field(max_length=100), AfterValidator(_no_path)]
    """Name of its dataset card."""
    info: Info
    """Architecture, classes it was trained on, normalisation, sizes."""
    images: int = Field(ge=1, le=MOST_IMAGES)
    """Number of training images."""
    iterations: int = Field(ge=1, le=10**9)
    """Training steps."""
    seconds: float = Field(ge=0, le=1e9)
    """Training time in this process, wall clock."""
    bytes: int = Field(ge=1, le=2**40)
    """Size of the weights."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of the weights, as of `hashes.content_hash`."""
    base: Base | None = None
    """The rest of the model, where only the weights that were trained are sent."""
    epsilon: float | None = Field(None, ge=0, le=10**6)
    """What the training cost, where it was differentially private."""
    delta: float | None = Field(None, gt=0, lt=1)
    """Likewise."""


def read_accepted(folder: Path) -> Upload | None:
    """What was accepted with the weights in a client's folder of a run; None without any.

    Raises:
        DamagedFile: the file is there, but holds no `Upload`.
    """
    path = folder / ACCEPTED
    return (
        parse_record(Upload, read_json(path, most=MOST_METADATA), path) if path.is_file() else None
    )


def read_upload(folder: Path) -> Upload:
    """What a client's training left beside the weights in a checkpoint folder.

    Raises:
        DamagedFile: the file holds no `Upload`.
        OSError: there is no such file.
    """
    path = folder / UPLOAD
    return parse_record(Upload, read_json(path, most=MOST_METADATA), path)
