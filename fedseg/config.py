"""A federation as one TOML file, checked before anything is trained."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedseg.errors import FedsegError, did_you_mean

T = TypeVar("T", bound=BaseModel)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Fraction = Annotated[float, Field(gt=0, le=1)]

EMBEDDED = Path(__file__).parent / "embedded.toml"
"""The federation that runs where no file is given: streetsim, no download."""


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Model(Section):
    """What is trained."""

    arch: str = "fpn"
    """Any segmentation-models-pytorch architecture: "fpn", "unet", "deeplabv3plus", ..."""
    encoder: str = "tu-tf_efficientnet_lite0"
    """Any of its encoders; "tu-NAME" is timm's NAME."""
    encoder_weights: str = "imagenet"
    """"imagenet" (downloaded), "none", or the path of a local .safetensors file."""


class Training(Section):
    """How a model is trained."""

    iterations: int = Field(2000, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(8, ge=2)
    """Images a step; at least 2, because batch normalisation needs more than one."""
    learning_rate: float = Field(1e-3, gt=0)
    """AdamW's highest learning rate: reached by the warm-up, it falls to 0 along half a cosine."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Part of the iterations over which the learning rate rises linearly from 0."""
    crop: tuple[int, int] = (192, 256)
    """Height and width in pixels of the training crop; multiples of the encoder's stride, 32."""
    scale: tuple[Fraction, Fraction] = (0.25, 1.0)
    """Smallest and largest part of an image's area that a crop shows."""
    inference_height: int | None = Field(None, ge=32, le=8192)
    """Height in pixels that whole images are resized to for inference; default: 1.25 crops."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass; "auto" is bfloat16 on CUDA and float32 on the CPU."""
    rare_class_temperature: float = Field(0.05, gt=0)
    """Rare-class sampling: the lower, the more often images with rare classes are drawn."""
    threads: int = Field(2, ge=1)
    """Threads that read and augment images ahead of the optimiser."""

    @model_validator(mode="after")
    def _ordered(self) -> "Training":
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale: the first number must not exceed the second")
        return self


class Distillation(Training):
    """How the global model is distilled. Defaults come from [training]."""

    temperature: float = Field(0.5, gt=0)
    """Of the targets: below 1 sharpens what the clients say, above 1 softens it."""
    class_balance: float = Field(0.7, ge=0, le=1)
    """How far the targets undo the rarity of rare classes; 0 not at all, 1 entirely."""


class Source(Section):
    """Images on disk, read as a dataset card says."""

    dataset: str
    """Name of a card in datasets/, or the path of a card of your own."""
    root: Path | None = None
    """Folder of the dataset; only embedded data goes without."""
    split: str | None = None
    """A split of the card; may be left out where the card has only one, or one called "all"."""


class Client(Source):
    """An owner of a private dataset."""

    name: Name
    """Shown in every table, and the client's folder name in the run folder."""
    model: Model = Model()
    """Overrides [model] for this client."""
    training: Training = Training()
    """Overrides [training] for this client."""


class Server(Source):
    """The server and its unlabelled images; labels, if there are any, are never opened."""

    unstable_classes: int = Field(5, ge=1, le=19)
    """How many of the classes the clients disagree on most count as unstable."""
    distillation: Distillation = Distillation()
    """Overrides [training] for the global model."""


class Evaluation(Source):
    """A labelled set that models are scored on."""

    name: Name
    """Column of the result table; default: the dataset's name."""


class Federation(Section):
    """A whole federation."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of every random choice; on a CPU it makes a run repeatable."""
    min_clients: int = Field(2, ge=1)
    """Fewer good uploads than this fail the run."""
    node_timeout: float = Field(120.0, gt=0)
    """Seconds the server waits for nodes to appear and say what they have."""
    client_timeout: float = Field(86400.0, gt=0)
    """Seconds the server waits for uploads before it goes on without the missing ones."""
    stall_timeout: float = Field(600.0, gt=0)
    """Seconds without a training step after which a client gives up on itself."""
    model: Model = Model()
    """The global model, and every client's default."""
    training: Training = Training()
    """Every client's default, and that of the distillation."""
    clients: list[Client] = Field(min_length=1)
    """One table an owner."""
    server: Server
    """The server's half."""
    evaluation: list[Evaluation] = Field(min_length=1)
    """One table a labelled set."""

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """Hand [model] and [training] down to whatever does not override them."""
        if not isinstance(data, dict):
            return data
        data = dict(data)

        def merged(table: Any, key: str, default: str) -> Any:
            own = table.get(key, {})
            return {**data.get(default, {}), **own} if isinstance(own, dict) else own

        def inherit(table: Any, **keys: str) -> Any:
            if not isinstance(table, dict):
                return table
            return table | {key: merged(table, key, default) for key, default in keys.items()}

        if isinstance(data.get("clients"), list):
            data["clients"] = [
                inherit(client, model="model", training="training") for client in data["clients"]
            ]
        if "server" in data:
            data["server"] = inherit(data["server"], distillation="training")
        if isinstance(data.get("evaluation"), list):
            data["evaluation"] = [
                {"name": Path(str(table.get("dataset"))).stem} | table
                if isinstance(table, dict)
                else table
                for table in data["evaluation"]
            ]
        return data

    @model_validator(mode="after")
    def _consistent(self) -> "Federation":
        _refuse_twice("clients", [client.name for client in self.clients])
        _refuse_twice("evaluation", [table.name for table in self.evaluation])
        if self.min_clients > len(self.clients):
            raise ValueError(
                f"min_clients: {self.min_clients} good uploads can never come from "
                f"{len(self.clients)} client(s); lower it or add [[clients]]"
            )
        if any(client.name == "global" for client in self.clients):
            raise ValueError("clients: 'global' is the global model's name; choose another")
        return self


def _refuse_twice(table: str, names: list[str]) -> None:
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{table}: the name '{name}' is given twice; names must differ")


def load(path: Path) -> Federation:
    """Read and check a federation file; relative paths in it are relative to its folder.

    Raises:
        FedsegError: naming the file, the key and the remedy.
    """
    return validate(read_toml(path), path, relative_to=path.parent)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        FedsegError: there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FedsegError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FedsegError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise FedsegError(f"{path}: not valid TOML: {error}") from None


def validate(data: dict[str, Any], origin: Path, relative_to: Path) -> Federation:
    """Check the content of a federation file and make its paths absolute."""
    federation = parse(Federation, data, origin)
    return Federation.model_validate(_absolute(federation.model_dump(), relative_to.absolute()))


def parse(kind: type[T], data: dict[str, Any], origin: Path) -> T:
    """Check `data` against a model.

    Raises:
        FedsegError: every mistake in one line, with a suggestion for a misspelt key.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise FedsegError(f"{origin}: " + "; ".join(_explain(kind, error))) from None


def dump(federation: Federation) -> str:
    """The configuration as TOML that `load` reads back to an equal one."""
    return tomli_w.dumps(federation.model_dump(mode="json", exclude_none=True))


def _absolute(data: dict[str, Any], base: Path) -> dict[str, Any]:
    """Paths under `root`, `dataset` and `encoder_weights` made absolute."""

    def resolve(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _absolute(value, base)
        if isinstance(value, list):
            return [resolve(key, item) for item in value]
        is_path = (
            (key == "root" and value is not None)
            or (key == "dataset" and str(value).endswith(".toml"))
            or (key == "encoder_weights" and str(value).endswith(".safetensors"))
        )
        return str((base / Path(value).expanduser()).resolve()) if is_path else value

    return {key: resolve(key, value) for key, value in data.items()}


def _explain(kind: type[BaseModel], error: ValidationError) -> Iterable[str]:
    said = set()
    for detail in error.errors(include_url=False):
        # A mistake in [training] or [model] comes back from everything that inherits it.
        if (mistake := (detail["type"], detail["loc"][-1:], repr(detail["input"]))) in said:
            continue
        said.add(mistake)
        where = [str(part) for part in detail["loc"]]
        key = ".".join(where)
        match detail["type"]:
            case "extra_forbidden":
                known = _fields_at(kind, detail["loc"][:-1])
                yield f"unknown key '{key}'; {did_you_mean(where[-1], known)}"
            case "missing":
                yield f"'{key}' is missing; add it"
            case "too_short":
                yield f"'{key}' is empty; add at least one [[{key}]] table"
            case "string_pattern_mismatch":
                yield f"'{key}' = {detail['input']!r}: use letters, digits, '.', '_' and '-' only"
            case "value_error":
                yield (f"{key}: " if key else "") + str(detail["ctx"]["error"])
            case _:
                yield f"'{key}' = {detail['input']!r}: {detail['msg'].lower()}"


def _fields_at(kind: Any, location: tuple[str | int, ...]) -> Iterable[str]:
    """Names of the keys that the table at `location` may hold."""
    for part in location:
        in_container = get_origin(kind) in (list, dict)
        kind = get_args(kind)[-1] if in_container else kind.model_fields[part].annotation
    return kind.model_fields


def with_seed(federation: Federation, seed: int) -> Federation:
    """The same federation with another seed.

    Raises:
        FedsegError: a seed out of range.
    """
    return parse(Federation, federation.model_dump() | {"seed": seed}, Path("--seed"))
