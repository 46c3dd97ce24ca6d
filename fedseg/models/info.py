"""What one must know of a model, and whether a model is there at all. Needs no torch."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from fedseg.classes import CITYSCAPES, MOST_CLASSES, ClassList
from fedseg.config import (
    NETWORK,
    DecoderKey,
    DecoderValue,
    Model,
    Section,
    parse,
)
from fedseg.errors import FedsegError
from fedseg.files import check_new_file, holders_near, read_json
from fedseg.models.locations import WEIGHTS, address
from fedseg.plugins import locate_reference
from fedseg.registry import MODELS
from fedseg.settings import refuse_twice

INFO = "fedseg.json"
"""File of a checkpoint folder that holds its model's `Info`."""
ONNX = ".onnx"
"""Suffix of a file of `export`."""
MOST_METADATA = 2**20
"""Bytes of what is said of a model; a list of 255 classes takes a tenth."""
COARSEST = 32
"""Stride of a model of which no smaller one is known."""


class Normalisation(NamedTuple):
    """Mean and standard deviation of R, G and B, of pixel values in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


Level = Annotated[float, Field(ge=-10, le=10)]
Deviation = Annotated[float, Field(ge=0.001, le=10)]
Side = Annotated[int, Field(ge=1, le=8192)]


class Info(Section):
    """What one must know of a model to use it."""

    arch: str
    """Architecture, as in `config.Model`; a plugin's goes without the folder of its file."""
    encoder: str
    """Encoder, as in `config.Model`."""
    decoder: dict[DecoderKey, DecoderValue] = Field({}, max_length=10)
    """Settings of its decoder; see `config.Model`."""
    norm: Literal["batch", "group"] = "batch"
    """Its normalisation layers; see `config.Model`."""
    classes: ClassList = CITYSCAPES
    """Classes of the output channels."""
    coverage: tuple[int, ...] = Field(
        tuple(range(len(CITYSCAPES))), min_length=1, max_length=MOST_CLASSES
    )
    """TrainIds of the classes the model was trained on; the others it has never seen."""
    mean: tuple[Level, Level, Level]
    """Mean of R, G, B by which inputs are normalised, of values in 0..1."""
    std: tuple[Deviation, Deviation, Deviation]
    """Standard deviation of R, G, B, of values in 0..1."""
    crop: tuple[Side, Side]
    """Height and width of the training crop in pixels."""
    inference_height: int = Field(ge=32, le=8192)
    """Height in pixels to which a whole image is resized for inference."""
    stride: int = Field(COARSEST, ge=4, le=256, multiple_of=4)
    """Pixels of which the sides of images are multiples; see `build.model_stride`."""

    @model_validator(mode="after")
    def _covers_classes(self) -> "Info":
        known = range(len(self.classes))
        if not all(train_id in known for train_id in self.coverage):
            raise ValueError(f"coverage: not made of trainIds 0..{known[-1]}")
        refuse_twice("coverage", self.coverage)
        return self

    def __repr__(self) -> str:
        return f"<Info {self.arch} with {self.encoder}, {len(self.coverage)} classes seen>"

    @property
    def normalisation(self) -> Normalisation:
        """Normalisation of the input."""
        return Normalisation(self.mean, self.std)

    @property
    def model(self) -> Model:
        """The untrained model of this kind.

        Raises:
            FedsegError: its architecture is a plugin that nobody on this machine named.
        """
        own = {key: getattr(self, key) for key in NETWORK}
        own["arch"] = MODELS.trusted(self.arch)
        return Model(**own, encoder_weights="none")

    @property
    def inputs(self) -> dict[str, Any]:
        """Facts that the model's output depends on, as JSON; a plugin's source too."""
        return self.model_dump(mode="json") | MODELS.source(MODELS.trusted(self.arch))


class Base(Section):
    """The rest of a model of which a part is trained; see `adapters`."""

    weights: str = Field(max_length=200, pattern=r"^[\w./@-]+$")
    """Where its encoder's weights are from; see `encoder_weights.weights_source`."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of its tensors, as of `hashes.content_hash`."""

    def __str__(self) -> str:
        return f"'{self.weights}', sha256 {self.sha256[:12]}"


def trust_model(name: str) -> None:
    """Let checkpoints name an architecture of one's own; else only a federation file does.

    Args:
        name: "module:object" of a `ModelBuilder`, as in `arch`.
    """
    MODELS.trust(locate_reference(name))


def load_info(folder: Path) -> Info:
    """Read what a checkpoint folder says of its model.

    Raises:
        FedsegError: not a checkpoint folder of fedseg's.
    """
    try:
        content = read_json(folder / INFO, most=MOST_METADATA)
    except (FileNotFoundError, NotADirectoryError):
        raise FedsegError(
            f"{folder}: not a checkpoint folder (config.json, {WEIGHTS}, {INFO})"
            f"{holders_near(folder, INFO)}"
        ) from None
    except OSError as error:
        raise FedsegError(f"{folder / INFO}: can't be read: {error.strerror}") from None
    return parse(Info, content, folder / INFO)


def check_checkpoint(checkpoint: Path) -> None:
    """See that a checkpoint folder is one; an address on the hub is not looked up.

    Raises:
        FedsegError: it is not there, or something else.
    """
    if address(checkpoint):
        return
    if not checkpoint.is_dir():
        raise FedsegError(
            f"{checkpoint}: no such checkpoint folder; that of a run's global model is RUN/global"
        )
    load_info(checkpoint)
    if not (checkpoint / WEIGHTS).is_file():
        raise FedsegError(f"{checkpoint}: {WEIGHTS} is missing; copy the whole folder")


def check_model(path: Path) -> None:
    """See that a path is what `exported.open_model` takes: a checkpoint, or a file of `export`.

    Raises:
        FedsegError: it is not there, or something else.
    """
    if address(path) or path.is_dir() or not path.suffix:
        check_checkpoint(path)
    elif not path.is_file():
        raise FedsegError(f"{path}: no such file")
    elif path.suffix != ONNX:
        raise FedsegError(
            f"{path}: neither a checkpoint folder nor an .onnx file{holders_near(path, INFO)}"
        )


def check_export(checkpoint: Path, path: Path) -> None:
    """See that a checkpoint is there, and that an ONNX file can be written.

    Raises:
        FedsegError: no checkpoint, another suffix, or a file that can't be written.
    """
    if path.suffix != ONNX:
        raise FedsegError(f"--out {path}: an ONNX file ends with {ONNX}")
    check_new_file(path)
    check_checkpoint(checkpoint)
