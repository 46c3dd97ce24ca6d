"""A federation: its clients, its server, its evaluators, and what a simulation may use."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.config.data import Evaluation, Evaluator, Protocol, Source, inherit, with_protocols
from fedseg.config.distillation import Augmentation, Distillation
from fedseg.config.model import Model, without_default_classes
from fedseg.config.names import Name, choices, one_of
from fedseg.config.training import (
    PRIVATE,
    SUPERVISED,
    Privacy,
    SupervisedTraining,
    TrainerName,
    Training,
)
from fedseg.errors import FedsegError
from fedseg.registry import (
    BASELINES,
    TRACKERS,
)
from fedseg.settings import Section, refuse_twice

GLOBAL = "global"
"""What the global model is called in tables and in the names of score files."""


class Client(Source):
    """An owner of a private dataset."""

    name: Name
    """Shown in every table, and the client's folder name in the run folder."""
    dataset: str = ""
    """Name of a card, or the path of one; left out, with `root`, where the client has a node of its
    own that knows."""
    model: Model = Model()
    """Overrides [model] for this client."""
    training: SupervisedTraining = SupervisedTraining()
    """Overrides [training] for this client."""
    trainer: TrainerName = SUPERVISED
    """How it trains: "supervised"; "private", which a client with `privacy` need not name; or a
    "module:object" of your own."""
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


class Server(Source):
    """The server and its unlabelled images; labels, if there are any, are never opened."""

    augmentation: Augmentation = Augmentation()
    """More images of unstable classes."""
    labelling: Protocol = Protocol()
    """How images are shown to the clients that label them."""
    distillation: Distillation = Distillation()
    """How the clients' models become the global model."""


class Tracking(Section):
    """Where the curves of trainings go, besides the run folder."""

    trackers: list[Annotated[str, one_of(TRACKERS), choices(TRACKERS)]] = Field([])
    """Any of "tensorboard", "mlflow" and "wandb", which need the extra of their name, as in
    `pip install 'fedseg[tensorboard]'`; or a "module:object" of your own."""
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
    training: SupervisedTraining = SupervisedTraining()
    """Every client's default and, but for the loss, that of the distillation."""
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
                inherit(client, data, model="model", training="training")
                for client in data["clients"]
            ]
        if isinstance(server := data.get("server"), dict):
            student = inherit(
                server.get("distillation", {}), _for_distillation(data), training="training"
            )
            data["server"] = server | {"distillation": student}
        return with_protocols(data, "evaluation", "evaluators")

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
            if client.privacy and client.trainer not in (SUPERVISED, PRIVATE):
                raise ValueError(
                    f"client '{client.name}': privacy: private training is a trainer of its own; "
                    "leave out trainer"
                )
            if client.trainer == PRIVATE and not client.privacy:
                raise ValueError(f"client '{client.name}': the trainer 'private' needs privacy")
            if client.name in (GLOBAL, *BASELINES):
                raise ValueError(f"clients: '{client.name}' is what a result is called; rename it")
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Cityscapes' classes need no word."""
        return without_default_classes(self.classes, handler(self))


def _for_distillation(data: dict[str, Any]) -> dict[str, Any]:
    """The file with only those keys under [training] that every training has."""
    training = data.get("training")
    if not isinstance(training, dict):
        return data
    return data | {"training": {k: v for k, v in training.items() if k in Training.model_fields}}
