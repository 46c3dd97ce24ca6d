"""What comes beside a client's weights, as the client and the server keep it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from fedseg.config import Name, Section
from fedseg.files import read_json
from fedseg.models.info import Base, Info
from fedseg.storage.records import checked

UPLOAD = "upload.json"
"""File of the checkpoint folder that a client's training leaves: what it would send."""
ACCEPTED = "client.json"
"""File of a client's checkpoint folder in a run: what the server accepted."""
MOST_IMAGES = 10**9
MOST_PIXELS = 2**50
"""Numbers that no dataset reaches, and that sums of stay exact below."""


class Upload(Section):
    """The metadata that a client sends beside its weights. Nothing else leaves it."""

    name: Name
    """The client's name in the federation."""
    dataset: str = Field(max_length=100)
    """Name of its dataset card."""
    info: Info
    """Architecture, classes it was trained on, normalisation, sizes."""
    images: int = Field(ge=1, le=MOST_IMAGES)
    """Number of training images."""
    pixel_counts: tuple[Annotated[int, Field(ge=0, le=MOST_PIXELS)], ...] | None
    """Labelled pixels of each trainId over all training images; None where they are withheld."""
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
    return checked(Upload, read_json(path), path) if path.is_file() else None


def read_upload(folder: Path) -> Upload:
    """What a client's training left beside the weights in a checkpoint folder.

    Raises:
        DamagedFile: the file holds no `Upload`.
        OSError: there is no such file.
    """
    path = folder / UPLOAD
    return checked(Upload, read_json(path), path)
