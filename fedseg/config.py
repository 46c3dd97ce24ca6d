"""A federation as one TOML file, checked before anything is trained."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, overload

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)

from fedseg.classes import CITYSCAPES, MOST_CLASSES, ClassList
from fedseg.errors import FedsegError, did_you_mean, first_line, why_unreadable
from fedseg.plugins import REFERENCE, is_reference, located
from fedseg.registry import (
    BASELINES,
    FUSION_RULES,
    GENERATORS,
    LOSSES,
    TRACKERS,
    TRAINERS,
    Registry,
    sources,
)
from fedseg.settings import Section as Section
from fedseg.settings import differences, refuse_twice, with_settings
from fedseg.settings import explain as explain

T = TypeVar("T", bound=BaseModel)
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What can be part of a file's name everywhere."""
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Fraction = Annotated[float, Field(gt=0, le=1)]

GLOBAL = "global"
"""What the global model is called in tables and in the names of score files."""


def one_of(registry: Registry, *others: str) -> AfterValidator:
    """Checks that a string is a name in a registry, one of a few others, or "module:object".

    Nothing is imported: a node's owner decides what a node imports.
    """

    def check(name: str) -> str:
        known = [*others, *registry]
        if name not in known and not is_reference(name):
            raise ValueError(f"no {registry.kind} '{name}'; {did_you_mean(name, known)}")
        return name

    return AfterValidator(check)


def choices(registry: Registry, *others: str) -> WithJsonSchema:
    """What docs/configuration.md says of such a string."""
    return WithJsonSchema({"type": "string", "enum": [*others, *registry]})


GeneratorName = Annotated[str, one_of(GENERATORS, "none"), choices(GENERATORS, "none")]
FusionName = Annotated[str, one_of(FUSION_RULES), choices(FUSION_RULES)]
LossName = Annotated[str, one_of(LOSSES), choices(LOSSES)]
TrainerName = Annotated[str, one_of(TRAINERS), choices(TRAINERS)]
PluginName = Annotated[str, Field(pattern=REFERENCE.pattern)]
PLUGIN_KEYS = ("generator", "fusion", "loss", "trainer", "trackers", "plugins")
"""Keys that take "module:object"."""


MOST_PARTS = 100
"""Parts that a dotted key may have."""
LONG_KEY = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++\s*+\.\s*+){{{MOST_PARTS}}}")
"""A key of more parts. It is looked for from the beginnings of words, and nothing is tried twice:
the time grows with the length of the text."""
MOST_CHANNELS = 4096
"""Of a decoder's layer."""


def _modest(value: Any) -> Any:
    """See that a decoder's setting asks for no more memory than any decoder needs."""
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) > 8 or any(isinstance(n, int) and n > MOST_CHANNELS for n in numbers):
        raise ValueError(f"at most 8 numbers, none above {MOST_CHANNELS}")
    if any(isinstance(n, int | float) and n < 0 for n in numbers):
        raise ValueError("no number is negative")
    return value


EncoderKey = Literal[
    "drop_rate",
    "drop_path_rate",
    "attn_drop_rate",
    "proj_drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
]
Probability = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
WindowSide = Annotated[int, Field(ge=32, le=8192)]
DecoderKey = Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=40)]
DecoderValue = Annotated[
    StrictBool | int | float | Annotated[str, Field(max_length=20)] | tuple[int, ...],
    AfterValidator(_modest),
]
LayerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$", max_length=80)]


NETWORK = {"arch", "encoder", "encoder_kwargs", "decoder", "norm", "classes"}
"""What of a `Model` says which network it is."""


def _without_default_classes(classes: ClassList, content: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in content.items() if k != "classes" or classes != CITYSCAPES}


class Model(Section):
    """What is trained."""

    arch: str = "fpn"
    """Any segmentation-models-pytorch architecture: "fpn", "unet", "deeplabv3plus", ..."""
    encoder: str = "tu-tf_efficientnet_lite0"
    """Any of its encoders; "tu-NAME" is timm's NAME."""
    encoder_weights: str = "imagenet"
    """
    "imagenet" (downloaded; for tu-tf_efficientnet_lite0 part of fedseg), "none", the path of a
    local .safetensors file, or "hf://OWNER/NAME[@REVISION]", whose model.safetensors is downloaded.
    """
    encoder_kwargs: dict[EncoderKey, Probability] = Field({}, max_length=len(get_args(EncoderKey)))
    """Probabilities of dropout in one of timm's encoders, as `{ drop_path_rate = 0.1 }`."""
    decoder: dict[DecoderKey, DecoderValue] = Field({}, max_length=10)
    """The decoder's settings: segmentation-models-pytorch's arguments `decoder_*` without that
    prefix, as `{ channels = 128 }`."""
    norm: Literal["batch", "group"] = "batch"
    """"group" replaces each batch normalisation by group normalisation; private training needs it,
    and chooses it by itself."""
    train: Literal["all", "decoder", "lora"] = "all"
    """What is trained, and so what a client sends: all; the decoder, with the encoder frozen; or
    the decoder, the encoder's normalisations and low-rank adapters of its attention (LoRA, arXiv
    2106.09685), which need fedseg[lora]."""
    lora_rank: int = Field(8, ge=1, le=256)
    """Rank of the adapters."""
    lora_targets: tuple[LayerName, ...] = Field((), max_length=16)
    """Layers of the encoder that get adapters, by the end of their names, as ["qkv", "fc1"];
    default: the linear layers of its attention."""
    classes: ClassList = CITYSCAPES
    """The federation's [classes]; not given here."""

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Cityscapes' classes need no word."""
        return _without_default_classes(self.classes, handler(self))

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @property
    def plain(self) -> "Model":
        """The same network, whatever its weights are and whatever of it is trained."""
        return Model(**self.network, encoder_weights="none")

    @property
    def network(self) -> dict[str, Any]:
        """The settings that say which network it is."""
        return {key: getattr(self, key) for key in NETWORK}


class Training(Section):
    """How a model is trained."""

    iterations: int = Field(2000, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(8, ge=2)
    """Images a step; at least 2, because batch normalisation needs more than one."""
    learning_rate: float = Field(1e-3, gt=0)
    """AdamW's highest learning rate: reached by the warm-up, it falls to 0 by the schedule."""
    encoder_learning_rate: float = Field(1.0, gt=0)
    """Of the encoder, as a multiple of `learning_rate`."""
    schedule: Literal["cosine", "poly"] = "cosine"
    """How the learning rate falls: along half a cosine, or as (1 - part done)^0.9."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    decay_vectors: bool = True
    """Whether it also applies to biases and the parameters of normalisations."""
    loss: LossName = "cross_entropy"
    """Of clients and centralized training: "weighted" is the cross-entropy in which rare classes
    count more, "ohem" that of the hard pixels alone; "dice" and "lovasz" are added to that of
    all; or a "module:object" of your own."""
    max_grad_norm: float | None = Field(None, gt=0)
    """L2 norm that the gradient of a step is clipped to; default: not clipped."""
    accumulation: int = Field(1, ge=1)
    """Parts that a batch is shown in, one after another, which takes as much less GPU memory. Each
    needs two images at least, and counts alike."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of a moving average of the weights, as 0.999, which is then the trained model."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Part of the iterations over which the learning rate rises linearly from 0."""
    crop: tuple[int, int] = (192, 256)
    """Height and width in pixels of the training crop; multiples of the model's stride."""
    scale: tuple[Fraction, Fraction] = (0.25, 1.0)
    """Smallest and largest part of an image's area that a crop shows."""
    inference_height: int | None = Field(None, ge=32, le=8192)
    """Height in pixels that whole images are resized to for inference; default: 1.25 crops."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass. "auto" is bfloat16 on a GPU that has it, float16 with a
    scaled loss on another, and float32 on the CPU."""
    compile: bool = False
    """Whether torch.compile prepares the model. The first step then takes minutes, and the others
    less time, most of all on a GPU. It needs a C++ compiler."""
    rare_class_temperature: float = Field(0.05, gt=0)
    """Rare-class sampling: the lower, the more often images with rare classes are drawn."""
    threads: int = Field(2, ge=1)
    """Threads that read and augment images ahead of the optimiser."""

    @model_validator(mode="after")
    def _ordered(self) -> "Training":
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale: the first number must not exceed the second")
        if self.batch_size % self.accumulation or self.batch_size < 2 * self.accumulation:
            raise ValueError(
                "accumulation: batch_size must be a multiple of it, and give each part two images"
            )
        return self


class Distillation(Training):
    """How the global model is distilled. Defaults come from [training]."""

    temperature: float = Field(0.5, gt=0)
    """Of the targets: below 1 sharpens what the clients say, above 1 softens it."""
    rounds: int = Field(1, ge=1)
    """How often targets are made; from the second time on, the student so far is half of them. The
    iterations are shared among the rounds."""
    class_balance: float = Field(0.7, ge=0, le=1)
    """How far the targets undo the rarity of rare classes; 0 not at all, 1 entirely."""
    class_mix: float = Field(0.0, ge=0, le=1)
    """How often half of the classes of another view are pasted onto a view (ClassMix)."""
    fusion: FusionName = "mean"
    """"mean" of what the clients predict; "features" also asks a gate over the clients' features,
    which is learnt on the server's images; or a "module:object" of your own."""
    feature_weight: float = Field(0.0, ge=0)
    """Of the loss by which the student's features follow the fused ones, fusion = "features"."""

    @model_validator(mode="after")
    def _fits(self) -> "Distillation":
        if self.loss != "cross_entropy":
            raise ValueError("loss: that of the distillation is the cross-entropy to its targets")
        if self.feature_weight and self.fusion != "features":
            raise ValueError("feature_weight: fused features need fusion = 'features'")
        return self


class Source(Section):
    """Images on disk, read as a dataset card says.

    Examples:
        >>> import fedseg
        >>> source = fedseg.Source(dataset="folder", root="data/stormnight")
        >>> len(fedseg.open_dataset(source))
        4
    """

    dataset: str
    """Name of a card in datasets/, or the path of a card of your own."""
    root: Path | None = None
    """Folder of the dataset; only embedded data goes without."""
    split: str | None = None
    """A split of the card; may be left out where the card has only one, or one called "all"."""


class Privacy(Section):
    """Differential privacy of a client's training (DP-SGD); needs the extra `privacy`."""

    epsilon: float = Field(gt=0, le=10**4)
    """The most that the training may cost; the noise follows from it. Below 1 is strong, above 10
    weak."""
    delta: float = Field(1e-5, gt=0, lt=1)
    """Probability of a worse leak; must be below 1 / number of images."""
    max_grad_norm: float = Field(1.0, gt=0)
    """L2 norm that each image's gradient is clipped to."""


class Client(Source):
    """An owner of a private dataset."""

    name: Name
    """Shown in every table, and the client's folder name in the run folder."""
    dataset: str = ""
    """Name of a card, or the path of one; left out, with `root`, where the client has a node of its
    own that knows."""
    model: Model = Model()
    """Overrides [model] for this client."""
    training: Training = Training()
    """Overrides [training] for this client."""
    trainer: TrainerName = "supervised"
    """How it trains: "supervised", or a "module:object" of your own."""
    validation: str | None = None
    """Split of the dataset by which the best of ten models on the way is chosen. Default: none, and
    the last one is taken."""
    privacy: Privacy | None = None
    """Trains with differential privacy; default: without."""

    @property
    def held_out(self) -> Source | None:
        """The data of `validation`."""
        if self.validation is None:
            return None
        return Source(dataset=self.dataset, root=self.root, split=self.validation)


class Augmentation(Section):
    """More images of the classes that the clients disagree on."""

    generator: GeneratorName = "none"
    """"mix" pastes regions that clients see into other images of the server's; "streetsim"
    renders new streets; "diffusion" paints new images, and new regions into the server's, and needs
    fedseg[diffusion]; or a "module:object" of your own."""
    images: int = Field(200, ge=1)
    """How many images to make."""
    unstable_classes: int = Field(5, ge=1, le=MOST_CLASSES)
    """How many of the classes the clients disagree on most count as unstable."""
    model: str | None = None
    """For "diffusion": a Stable Diffusion checkpoint in safetensors, by its name on the Hugging
    Face hub, or a folder; a folder's path begins with ".", "/" or "~"."""
    steps: int = Field(30, ge=1)
    """For "diffusion": denoising steps an image."""
    batch_size: int = Field(4, ge=1)
    """For "diffusion": whole images that are painted at once."""
    size: tuple[int, int] | None = None
    """For "diffusion": height and width in pixels at which is painted, multiples of 64. Default:
    near what the checkpoint was trained at, [512, 768], and [832, 1216] for XL and 3."""

    @model_validator(mode="after")
    def _complete(self) -> "Augmentation":
        if self.generator == "diffusion" and not self.model:
            raise ValueError("model: generator = 'diffusion' needs one; name a checkpoint")
        if any(side < 64 or side % 64 for side in self.size or ()):
            raise ValueError("size: height and width must be multiples of 64")
        return self


class Protocol(Section):
    """How images are shown to a model that is scored: a part of the score.

    Examples:
        >>> import fedseg
        >>> fedseg.Protocol(flip=True, scales=(1.0, 1.25)).flip
        True
    """

    height: Literal["model", "original"] | Annotated[int, Field(ge=32, le=8192)] = "model"
    """Height in pixels to which images are resized, in their own proportions; "model": the height
    the model was made for; "original": as they are."""
    window: tuple[WindowSide, WindowSide] | None = None
    """Height and width in pixels of a window that slides over the image by two thirds of itself;
    multiples of the model's stride. Default: the image as a whole."""
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field((1.0,), min_length=1)
    """Multiples of the height at which the model predicts; probabilities are averaged."""
    flip: bool = False
    """Whether it predicts the mirrored image too; probabilities are averaged."""
    precision: Precision = "auto"
    """Arithmetic, as in [training]."""


class Server(Source):
    """The server and its unlabelled images; labels, if there are any, are never opened."""

    augmentation: Augmentation = Augmentation()
    """More images of unstable classes."""
    labelling: Protocol = Protocol()
    """How images are shown to the clients that label them."""
    distillation: Distillation = Distillation()
    """Overrides [training] for the global model."""


class Evaluation(Source):
    """A labelled set that models are scored on."""

    name: Name
    """Column of the result table; default: the dataset's name."""
    protocol: Protocol = Protocol()
    """Overrides [protocol] for this set."""


class Evaluator(Evaluation):
    """A node that scores the global model on a private labelled set.

    Only the confusion matrix leaves it.
    """

    dataset: str = ""
    """Name of a card, or the path of one; left out, with `root`, where the evaluator has a node of
    its own that knows."""


class Tracking(Section):
    """Where the curves of trainings go, besides the run folder."""

    trackers: list[Annotated[str, one_of(TRACKERS), choices(TRACKERS)]] = Field([])
    """Any of "csv", "jsonl", "tensorboard", "mlflow" and "wandb"; the last three need the extra of
    their name, as in `pip install 'fedseg[tensorboard]'`; or a "module:object" of your own."""
    project: Name = "fedseg"
    """Experiment of MLflow, project of Weights & Biases."""
    folder: Path | None = None
    """Where they write, in a folder for each run, but MLflow and Weights & Biases, which hold many
    runs; default: tracking/ in the run folder, or in a node's state folder."""

    def load(self) -> dict[str, Any]:
        """The classes of the trackers, by name.

        Raises:
            FedsegError: the extra of one is not installed.
        """
        found = {}
        for name in self.trackers:
            try:
                found[name] = TRACKERS.load(name)
            except ImportError:
                raise FedsegError(
                    f"tracking: {name} needs the extra: pip install 'fedseg[{name}]'"
                ) from None
        return found


class Resources(Section):
    """What a simulation may use: a matter of the machine, in which runs do not differ."""

    cpus_per_client: int | None = Field(None, ge=1)
    """CPU cores that are set aside for each client; default: all, shared by those that train at
    once."""
    gpus_per_client: float | None = Field(None, ge=0)
    """GPUs that each client gets: a part of one, so that with 0.25 four clients share it, or
    several, which train its model together; default: all there are, shared among the clients."""
    ray_address: str | None = Field(None, min_length=1)
    """Ray cluster to join, "auto" or HOST:PORT. All of its machines need fedseg, and see the data
    and the run folder under the same paths. Default: this machine alone."""

    @field_validator("gpus_per_client")
    @classmethod
    def _whole(cls, gpus: float | None) -> float | None:
        if gpus and gpus > 1 and not gpus.is_integer():
            raise ValueError("a client gets a part of one GPU, or whole ones")
        return gpus


class Federation(Section):
    """A whole federation."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of every random choice; on a CPU it makes a run repeatable."""
    min_clients: int = Field(2, ge=1)
    """Fewer good uploads than this fail the run."""
    node_timeout: float = Field(120.0, gt=0)
    """Seconds the server waits for nodes to appear and say what they have."""
    client_timeout: float = Field(86400.0, gt=0)
    """Seconds that a client may take, and without any client's answer after which the server goes
    on without the missing ones."""
    stall_timeout: float = Field(600.0, gt=0)
    """Seconds without a training step after which a client gives up on itself."""
    cross_site_evaluation: bool = False
    """Whether clients score each other's models on their data, so that clients that know a
    class better count more. Clients then see each other's models."""
    classes: ClassList = CITYSCAPES
    """The classes that all models predict."""
    model: Model = Model()
    """The global model, and every client's default."""
    training: Training = Training()
    """Every client's default, and that of the distillation."""
    clients: list[Client] = Field(min_length=1)
    """One table an owner."""
    server: Server
    """The server's half."""
    protocol: Protocol = Protocol()
    """Every evaluation set's and evaluator's default."""
    evaluation: list[Evaluation] = Field([])
    """One table a labelled set that the server has. Without any, nothing is scored: a run gives the
    global model and the inconsistency."""
    evaluators: list[Evaluator] = Field([])
    """One table a node that keeps a labelled set to itself."""
    tracking: Tracking = Tracking()
    """Trackers of the server, and in a simulation of the clients too; a deployed node has its
    own."""
    resources: Resources = Resources()
    """What a simulation may use."""

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, data: Any) -> Any:
        """Hand [model], [training] and others down to whatever does not override them."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if "classes" in data and isinstance(model := data.get("model", {}), dict):
            data["model"] = {"classes": data["classes"], **model}

        if isinstance(data.get("clients"), list):
            data["clients"] = [
                _inherit(client, data, model="model", training="training")
                for client in data["clients"]
            ]
        if "server" in data:
            data["server"] = _inherit(data["server"], _without_loss(data), distillation="training")
        return _with_protocols(data, "evaluation", "evaluators")

    @model_validator(mode="after")
    def _consistent(self) -> "Federation":
        refuse_twice("clients", [client.name for client in self.clients])
        nodes = [client.name for client in self.clients]
        nodes += [evaluator.name for evaluator in self.evaluators]
        refuse_twice("clients and evaluators", nodes)
        sets = [table.name for table in [*self.evaluation, *self.evaluators]]
        refuse_twice("evaluation" if self.evaluation else "evaluators", sets)
        if self.min_clients > len(self.clients):
            raise ValueError(
                f"min_clients: {self.min_clients} good uploads can never come from "
                f"{len(self.clients)} client(s); lower it or add [[clients]]"
            )
        for model in (self.model, *(client.model for client in self.clients)):
            if model.classes != self.classes:
                raise ValueError("model.classes: write them as [classes]; all models have the same")
        for client in self.clients:
            if client.privacy and client.model.train != "all":
                raise ValueError(
                    f"client '{client.name}': privacy: private training trains all of a model; "
                    "set model.train to 'all'"
                )
            if client.privacy and client.trainer != "supervised":
                raise ValueError(
                    f"client '{client.name}': privacy: private training is a trainer of its own; "
                    "leave out trainer"
                )
            if client.name in (GLOBAL, *BASELINES):
                raise ValueError(f"clients: '{client.name}' is what a result is called; rename it")
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Cityscapes' classes need no word."""
        return _without_default_classes(self.classes, handler(self))


class Suite(Section):
    """Several labelled sets to score checkpoints on."""

    protocol: Protocol = Protocol()
    """Every set's default."""
    evaluation: list[Evaluation] = Field(min_length=1)
    """One table a labelled set."""

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, data: Any) -> Any:
        return _with_protocols(data, "evaluation") if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        refuse_twice("evaluation", [table.name for table in self.evaluation])
        return self


def _without_loss(data: dict[str, Any]) -> dict[str, Any]:
    """The file without the loss under [training], which is not that of the distillation."""
    training = data.get("training")
    if not isinstance(training, dict):
        return data
    return data | {"training": {k: v for k, v in training.items() if k != "loss"}}


def _inherit(table: Any, data: dict[str, Any], **keys: str) -> Any:
    """A table whose sub-table `key` overrides the table `default` of the whole file."""
    if not isinstance(table, dict):
        return table
    merged = {}
    for key, default in keys.items():
        own, given = table.get(key, {}), data.get(default, {})
        mergeable = isinstance(own, dict) and isinstance(given, dict)
        merged[key] = {**given, **own} if mergeable else own
    return table | merged


def _with_protocols(data: dict[str, Any], *lists: str) -> dict[str, Any]:
    """Evaluation sets with the file's protocol, and named after their dataset unless they say."""

    def complete(table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        name = {"name": Path(str(table["dataset"])).stem} if "dataset" in table else {}
        return _inherit(name | table, data, protocol="protocol")

    found = {key: data[key] for key in lists if isinstance(data.get(key), list)}
    return data | {key: [complete(table) for table in tables] for key, tables in found.items()}


@overload
def load(path: Path | str, *, settings: Iterable[str] = ()) -> Federation: ...


@overload
def load(path: Path | str, kind: type[T], *, settings: Iterable[str] = ()) -> T: ...


def load(path: Path | str, kind: Any = Federation, *, settings: Iterable[str] = ()) -> Any:
    """Read and check a federation file, or a suite; relative paths are relative to its folder.

    Args:
        path: the TOML file.
        kind: what it holds.
        settings: values in place of the file's, `KEY=VALUE` each; see `settings.with_settings`.

    Raises:
        FedsegError: naming the file, the key and the remedy.

    Examples:
        >>> import fedseg
        >>> federation = fedseg.load_federation("federation.toml")
        >>> [client.name for client in federation.clients]
        ['boulevard', 'suburb', 'oldtown']
    """
    path = Path(path)
    return resolved(kind, read_toml(path), path, settings)


def resolved(kind: type[T], data: dict[str, Any], path: Path, settings: Iterable[str] = ()) -> T:
    """Check the content of a file; relative paths in it are relative to its folder.

    Raises:
        FedsegError: naming the file, the key and the remedy.
    """
    content = parse(kind, data, path, settings)
    return kind.model_validate(_absolute(content.model_dump(), path))


def read_classes(path: Path | None) -> ClassList:
    """The class list in a file, which is a federation's or holds the keys of [classes] alone.

    Args:
        path: the TOML file; None: Cityscapes' classes.

    Raises:
        FedsegError: the file has none, or a mistake in them.
    """
    if path is None:
        return CITYSCAPES
    data = read_toml(path)
    if "classes" not in data and "names" not in data:
        raise FedsegError(f"{path}: has no [classes]; see docs/classes.md")
    return parse(ClassList, data.get("classes", data), path)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        FedsegError: there is no such file, or it is not TOML.
    """
    if path.exists() and not path.is_file():
        files = sorted(path.glob("*.toml"))[:3] if path.is_dir() else []
        hint = "; did you mean " + " or ".join(f"'{file}'" for file in files) + "?" if files else ""
        raise FedsegError(f"{path}: is no file{hint}")
    try:
        # Editors on Windows begin a file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FedsegError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FedsegError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_toml(text, path)


def parse_toml(text: str, origin: Path) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        FedsegError: it is none.
    """
    try:
        # tomllib's memory grows with the square of a key's parts.
        if LONG_KEY.search(text):
            raise RecursionError
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FedsegError(f"{origin}: not valid TOML: {why_unreadable(error)}") from None


def parse(kind: type[T], data: dict[str, Any], origin: Path, settings: Iterable[str] = ()) -> T:
    """Check `data`, with `settings` in place of some of its values, against a model.

    Raises:
        FedsegError: every mistake in one line, with a suggestion for a misspelt key.
    """
    try:
        content = with_settings(data, settings := list(settings))
        try:
            return kind.model_validate(content)
        except ValidationError as error:
            raise FedsegError(f"{origin}: {explain(kind, error, content, settings)}") from None
    except RecursionError as error:
        raise FedsegError(f"{origin}: {why_unreadable(error)}") from None


def dump(federation: Federation) -> str:
    """The configuration as TOML that `load` reads back to an equal one."""
    return tomli_w.dumps(federation.model_dump(mode="json", exclude_none=True))


def shared_sets(federations: Sequence[Federation]) -> tuple[str, ...]:
    """Names of the evaluation sets, evaluators' too, that are the same in all federations.

    There are none where their class lists differ.
    """
    if any(federation.classes != federations[0].classes for federation in federations):
        return ()
    first, *others = ([*one.evaluation, *one.evaluators] for one in federations)
    return tuple(chosen.name for chosen in first if all(chosen in other for other in others))


def differing_keys(one: Federation, other: Federation) -> list[str]:
    """The dotted keys whose values differ, sorted; of a value that is handed down, its origin."""
    found = differences(one.model_dump(mode="json"), other.model_dump(mode="json"))
    own = differences(_without_inherited(one), _without_inherited(other))
    return [key for key in found if key in own]


def _without_inherited(federation: Federation) -> dict[str, Any]:
    """The content of a federation, without the values that tables have from others."""
    data = federation.model_dump(mode="json")

    def reduce(table: dict[str, Any], key: str, given: dict[str, Any]) -> None:
        table[key] = {k: v for k, v in table[key].items() if k not in given or v != given[k]}

    for client in data["clients"]:
        reduce(client, "model", data["model"])
        reduce(client, "training", data["training"])
    reduce(data["server"], "distillation", data["training"])
    for chosen in [*data["evaluation"], *data["evaluators"]]:
        reduce(chosen, "protocol", data["protocol"])
    reduce(data, "model", {"classes": data.get("classes")})
    return data


def _absolute(data: dict[str, Any], file: Path) -> dict[str, Any]:
    """The paths in it made absolute: of `root`, `state`, `folder`, `dataset`, weights, `model`."""
    base = file.parent.absolute()

    def resolve(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _absolute(value, file)
        if isinstance(value, list):
            return [resolve(key, item) for item in value]
        is_path = (
            (key in ("root", "state", "folder") and value is not None)
            or (key == "dataset" and str(value).endswith(".toml"))
            or (key == "encoder_weights" and re.fullmatch(r"(?!hf:).+\.safetensors", str(value)))
            or (key == "model" and str(value).startswith((".", "/", "~")))
        )
        if key in PLUGIN_KEYS and value is not None and is_reference(str(value)):
            return located(str(value), (base, Path.cwd()))
        if not is_path:
            return value
        try:
            return str((base / Path(value).expanduser()).resolve())
        except (OSError, RuntimeError) as error:  # nobody's home, or links in a circle
            raise FedsegError(f"{file}: {key} = '{value}': {first_line(error)}") from None

    return {key: resolve(key, value) for key, value in data.items()}


def plugins_of_client(client: Client) -> dict[str, str]:
    """Hashes of the plugins that a client trains with, by their names.

    Raises:
        FedsegError: there is no such module.
    """
    return sources([(LOSSES, client.training.loss), (TRAINERS, client.trainer)])


def plugins_of_server(server: Server) -> dict[str, str]:
    """Hashes of the plugins that the global model is made with, by their names.

    Raises:
        FedsegError: there is no such module.
    """
    chosen = [(FUSION_RULES, server.distillation.fusion)]
    if server.augmentation.generator != "none":
        chosen.append((GENERATORS, server.augmentation.generator))
    return sources(chosen)


def with_seed(federation: Federation, seed: int) -> Federation:
    """The same federation with another seed.

    Raises:
        FedsegError: a seed out of range.
    """
    return parse(Federation, federation.model_dump() | {"seed": seed}, Path("--seed"))
