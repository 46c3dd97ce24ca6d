"""A node: who it speaks for, where its data is, and what it lets the server decide.

The server says how to train or to score; never where anything lies on a node. In a deployment a
node reads `node.toml`, which its owner wrote; in a simulation it is made from the federation file.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from fedseg import config
from fedseg.classes import CITYSCAPES, ClassList
from fedseg.config import (
    SUPERVISED,
    Client,
    CompleteModel,
    Evaluator,
    Name,
    PluginName,
    Privacy,
    Protocol,
    Section,
    Source,
    SupervisedTraining,
    Tracking,
    TrainerName,
)
from fedseg.errors import FedsegError, PublicError, explain_error
from fedseg.files import is_disk_full
from fedseg.machine import cpus
from fedseg.models.info import Base
from fedseg.models.locations import is_local_file
from fedseg.plugins import module_name
from fedseg.registry import LOSSES, MODELS, TRAINERS, Registry

NODE_FILE = "node.toml"
AT_MOST = ("threads", "iterations", "batch_size")
"""Limits that a training is cut down to; others refuse it."""
MOST_A_DAY = 10_000
"""Largest daily limit that an owner can set: each use is stored for a day."""
WITHOUT_FILE = ("imagenet", "none")
"""Encoder weights that a node takes without its owner's word."""


class TrainTask(Section):
    """What the server asks of a trainer."""

    classes: ClassList = CITYSCAPES
    """The federation's."""
    model: CompleteModel
    """The client's model in the federation file; a path of weights is replaced by "file"."""
    training: SupervisedTraining
    """The client's training in the federation file."""
    trainer: TrainerName = SUPERVISED
    """How it trains."""
    seed: int = Field(ge=0, lt=2**31)
    """The federation's seed."""
    base: Base | None = None
    """The server's copy of what the client does not train, where that is not all."""
    timeout: float = Field(gt=0)
    """Seconds after which the server waits no longer, and the node gives up."""


class ScoreTask(Section):
    """What the server asks of an evaluator."""

    protocol: Protocol
    """How images are shown to the model."""
    timeout: float = Field(gt=0)
    """Seconds after which the server waits no longer, and the node gives up."""


class OwnModel(Section):
    """What the owner of a node chooses of the model; the federation's default for the rest."""

    arch: str | None = None
    """Any segmentation-models-pytorch architecture, or a "module:object" of your own."""
    encoder: str | None = None
    """Any of its encoders."""
    encoder_weights: str | None = None
    """"imagenet", "none", the path of a .safetensors file on this machine, or a repository of the
    hub, "hf://OWNER/NAME[@REVISION]"."""


class Limits(Section):
    """The most that a node gives, whatever the server asks for."""

    threads: int | None = Field(None, ge=1)
    """CPU threads that compute, and threads that read images. Default: as many of the latter as the
    machine has cores."""
    iterations: int | None = Field(None, ge=1)
    """Training steps."""
    batch_size: int | None = Field(None, ge=2)
    """Images a step."""
    pixels: int = Field(2**25, ge=1)
    """Pixels of one input of a model: a training crop, or a whole image or window resized."""
    parameters: int = Field(5 * 10**8, ge=1)
    """Parameters of a model; it is counted before it is built."""
    seconds: float = Field(86400, gt=0)
    """Time for one training or one scoring."""
    memory: float | None = Field(None, gt=0)
    """GiB of memory for one training or one scoring; default: nine tenths of the machine's."""
    scores_per_day: int = Field(100, ge=0, le=MOST_A_DAY)
    """Confusion matrices that are sent within 24 hours: each tells something of the labels."""
    trainings_per_day: int = Field(4, ge=0, le=MOST_A_DAY)
    """Different trainings within 24 hours: uploads that differ in little can be subtracted."""
    learning_rate: float = Field(0.01, gt=0)
    """Learning rate. A higher one can stop learning after the first step, which then is all that
    the upload tells."""
    weight_decay: float = Field(1.0, ge=0)
    """Weight decay. A stronger one forgets all but the last steps."""


class Minima(Section):
    """The least that a training must be, so that its upload tells little of a single image.

    Less is refused: gradients of a few steps on a few images can be inverted to the images.
    """

    iterations: int = Field(50, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(4, ge=1)
    """Images a step: the statistics of batch normalisations are those of the last steps."""
    passes: float = Field(0.5, ge=0)
    """Images drawn in all, as a multiple of those that the dataset has."""
    images: float = Field(4, ge=1)
    """Images that share the draws: none is more than one in so many of those drawn, as rare-class
    sampling with the federation's classes draws them."""
    crop: int = Field(64, ge=1)
    """Pixels of each side of a training crop: small ones are the easiest to reconstruct."""
    learning_rate: float = Field(1e-5, ge=0)
    """Learning rate. With a lower one, the upload is the sum of all gradients at known weights."""


class NodePrivacy(Privacy):
    """Differential privacy of a node's training, and of all of its trainings together."""

    total_epsilon: float | None = Field(None, gt=0, le=10**6)
    """The most that all private trainings on an image may cost together: their epsilons and deltas
    are added up in the node's state folder, and a training that exceeds the total is refused. The
    deltas may add up to `delta` times `total_epsilon` / `epsilon`. Default: `epsilon`, which is one
    training."""

    @property
    def total(self) -> tuple[float, float]:
        """Epsilon and delta of all trainings together."""
        epsilon = self.total_epsilon or self.epsilon
        return epsilon, self.delta * epsilon / self.epsilon


class Node(Source):
    """One node, as its owner set it up."""

    name: Name
    """The client or evaluator that it speaks for in the federation."""
    role: Literal["trainer", "evaluator"]
    """"trainer": trains a model and uploads it; "evaluator": scores the global model."""
    server: str | None = None
    """HOST:PORT of the server; None in a simulation."""
    state: Path = Path("state")
    """Folder for trained models, half-done ones too, and for Flower's files."""
    model: OwnModel = OwnModel()
    """Its own model, for a trainer that does not want the federation's."""
    limits: Limits = Limits()
    """The most that it gives."""
    minima: Minima = Minima()
    """The least that a training must be."""
    cross_site_evaluation: bool = False
    """Whether this client scores other clients' models on its data, where the federation asks for
    it, and tells the confusion matrices."""
    plugins: tuple[PluginName, ...] = ()
    """"module:object" of each model, loss and trainer outside of fedseg that the server may ask
    for."""
    privacy: NodePrivacy | None = None
    """Trains with differential privacy; the server has no say in it. Default: without."""
    tracking: Tracking = Tracking()
    """Trackers of its training; the server neither chooses them nor sees what they get."""

    def client(self, task: TrainTask) -> Client:
        """How this node's client trains: as the server asks, within what the node allows.

        Raises:
            PublicError: it is no trainer, the server starts from a file of weights and the node
                names none, or it asks for a plugin that the node's owner has not listed.
        """
        if self.role != "trainer":
            raise PublicError(f"is an {self.role}: it trains nothing (node.toml, role)")
        own = self.model.model_dump(exclude_none=True)
        asked = task.model.arch
        own["arch"] = self.model.arch or self._allowed(MODELS, asked)
        MODELS.trust(own["arch"])
        if module_name(own["arch"]) != module_name(asked):
            own["decoder"] = {}  # the federation's settings are those of its own architecture
        model = task.model.model_copy(update=own)
        if self.model.encoder_weights is None and model.encoder_weights not in WITHOUT_FILE:
            raise PublicError(
                f"the federation starts from the encoder weights '{model.encoder_weights}', which "
                "the node must name, or its own copy of them: encoder_weights under [model] in "
                "node.toml"
            )
        wanted = task.training.model_dump()
        limits = self.limits.model_dump(exclude_none=True, include=set(AT_MOST))
        if self.server is not None:
            limits = {"threads": cpus()} | limits
        training = wanted | {key: min(wanted[key], most) for key, most in limits.items()}
        training["loss"] = self._allowed(LOSSES, training["loss"])
        return Client(
            name=self.name,
            model=model,
            training=SupervisedTraining(**training),
            trainer=self._allowed(TRAINERS, task.trainer),
            privacy=self._privacy(),
            **self._source(),
        )

    def trust_architecture(self, name: str) -> None:
        """Let a model from the server be a plugin, if the owner has listed it.

        Raises:
            PublicError: the owner has not.
        """
        if self.server is not None:
            MODELS.trust(self._allowed(MODELS, name))

    def _allowed(self, registry: Registry, name: str) -> str:
        """The node's own plugin of the name that the server gave; in a simulation the very same."""
        if registry.is_built_in(name) or self.server is None:
            return name
        own = {module_name(listed): listed for listed in self.plugins}
        if module_name(name) not in own:
            raise PublicError(
                f"runs no {registry.kind} '{module_name(name)}': its owner has not listed it "
                "(node.toml, plugins)"
            )
        return own[module_name(name)]

    def evaluator(self, protocol: Protocol | None = None) -> Evaluator:
        """This node's evaluator, with the server's protocol once that is known.

        Raises:
            PublicError: it is a trainer, whose data is never scored on in this way.
        """
        if self.role != "evaluator":
            raise PublicError(f"is a {self.role}: it scores no global model (node.toml, role)")
        return self._scoring(protocol)

    def cross_site(self, protocol: Protocol) -> Evaluator:
        """This client's data, for scoring another client's model on it.

        Raises:
            PublicError: it is no trainer, or its owner does not allow it.
        """
        if self.role != "trainer" or not self.cross_site_evaluation:
            raise PublicError("takes no part in cross-site evaluation (node.toml)")
        return self._scoring(protocol)

    def _scoring(self, protocol: Protocol | None) -> Evaluator:
        return Evaluator(name=self.name, protocol=protocol or Protocol(), **self._source())

    def explain(self, error: Exception) -> str:
        """What is sent to the server about an error.

        A deployed node sends a `PublicError` as it is. Any other message may hold a private path
        or name, so only the error's type is sent.
        """
        if self.server is None or isinstance(error, PublicError):
            return explain_error(error)
        return unnamed(error)

    def _privacy(self) -> Privacy | None:
        """What one training may cost."""
        if self.privacy is None:
            return None
        return Privacy(**self.privacy.model_dump(include=set(Privacy.model_fields)))

    def _source(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "root": self.root, "split": self.split}


def unnamed(error: Exception) -> str:
    """What kind of error it was, without its text."""
    if isinstance(error, FedsegError):
        return "its data, its settings or its model can't be used; the node's log says more"
    if is_disk_full(error):
        return "no space left on its disk; its owner must make room (the node's log says where)"
    return f"{type(error).__name__}; the node's log says more"


class Places(NamedTuple):
    """Where the losses of a node's training go."""

    curve: Path
    """File of the curve."""
    tracking: Path
    """Folder for trackers that have none of their own."""
    run: str
    """Name of the run, for trackers."""


def load_node(folder: Path) -> Node:
    """Read a node's folder, as `fedseg deploy init` made it.

    Raises:
        FedsegError: no such folder, or a mistake in its file.
    """
    path = folder / NODE_FILE
    if not path.is_file():
        raise FedsegError(f"{path}: no such file; make a node with `fedseg deploy init {folder}`")
    return config.resolve_paths(Node, config.read_toml(path), path)


def simulated_node(role: Client | Evaluator, state: Path, tracking: Tracking | None = None) -> Node:
    """The node of somebody in a federation that is simulated on one machine."""
    source = {"dataset": role.dataset, "root": role.root, "split": role.split}
    if isinstance(role, Client):
        own = OwnModel(**role.model.model_dump(include=set(OwnModel.model_fields)))
        settings = {
            "model": own,
            "cross_site_evaluation": True,
            "privacy": role.privacy and role.privacy.model_dump(),
            "tracking": tracking or Tracking(),
            **source,
        }
        return Node(name=role.name, role="trainer", state=state, **settings)
    return Node(name=role.name, role="evaluator", state=state, **source)


def train_task(client: Client, seed: int, timeout: float) -> TrainTask:
    """What the server asks of a client of its federation.

    Args:
        client: how it trains.
        seed: of the federation.
        timeout: seconds after which the server waits no longer.
    """
    from fedseg.models.adapters import base_of  # it imports torch, and commands read nodes too

    model = client.model
    if is_local_file(model.encoder_weights):
        model = model.model_copy(update={"encoder_weights": "file"})
    return TrainTask(
        classes=model.classes,
        model=model,
        training=client.training,
        trainer=client.trainer,
        seed=seed,
        base=base_of(client.model, seed),
        timeout=timeout,
    )
