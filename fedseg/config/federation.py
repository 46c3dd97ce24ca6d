"""A federation: its clients, its server and its evaluators."""

from typing import Annotated, Any

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.config.data import (
    Evaluation,
    Evaluator,
    Protocol,
    Source,
    inherit_tables,
    with_protocols,
)
from fedseg.config.distillation import Augmentation, Distillation
from fedseg.config.model import DERIVED, CompleteModel, Model, complete_model
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
    MODELS,
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
    """As `dataset` of the server; left out, with `root`, where the client has a node of its own
    that knows."""
    model: Model = Model()
    """Overrides [model] for this client."""
    training: SupervisedTraining = SupervisedTraining()
    """Overrides [training] for this client."""
    trainer: TrainerName = SUPERVISED
    """How it trains: "supervised"; "private", which a client with `privacy` need not name; or a
    "module:object" of your own."""
    privacy: Privacy | None = None
    """Trains with differential privacy; default: without."""


class Server(Source):
    """The server and its unlabelled images; labels, if there are any, are never opened."""

    augmentation: Augmentation = Augmentation()
    """More images of unstable classes."""
    labelling: Protocol = Protocol()
    """How images are shown to the clients that label them."""
    distillation: Distillation = Distillation()
    """How the clients' models become the global model."""


class Tracking(Section):
    """Trackers that receive the curves of trainings.

    Trackers write to tracking/ in the run folder, or in a node's state folder.
    """

    trackers: list[Annotated[str, one_of(TRACKERS), choices(TRACKERS)]] = Field([])
    """Any of "tensorboard", "mlflow" and "wandb", which need the extra of their name, as in
    `pip install 'fedseg[tensorboard]'`; or a "module:object" of your own."""

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


class Federation(Section):
    """A whole federation."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of every random choice; on a CPU it makes a run repeatable."""
    min_clients: int = Field(2, ge=1)
    """Good uploads that a run needs; with fewer it fails."""
    client_timeout: float = Field(86400.0, gt=0)
    """Seconds that a client may take. After as long without any answer, the server goes on without
    the missing clients."""
    cross_site_evaluation: bool = False
    """Whether clients score each other's models on their data, so that clients that know a
    class better count more. Clients then see each other's models."""
    classes: ClassList = CITYSCAPES
    """The classes that all models predict."""
    model: CompleteModel = Field(Model(), validate_default=True)
    """The global model, and every client's default."""
    training: SupervisedTraining = SupervisedTraining()
    """Every client's default and, but for the loss, that of the distillation."""
    clients: list[Client] = Field(min_length=1)
    """One table for each client."""
    server: Server
    """The server, its unlabelled images, and how it makes the global model."""
    protocol: Protocol = Protocol()
    """Every evaluation set's and evaluator's default."""
    evaluation: list[Evaluation] = Field([])
    """One table for each labelled set of the server. Without any, nothing is scored: a run gives
    the global model and the inconsistency."""
    evaluators: list[Evaluator] = Field([])
    """One table for each node that scores the global model on a labelled set of its own."""
    tracking: Tracking = Tracking()
    """Trackers of the server, and in a simulation of the clients too; a deployed node has its
    own."""

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, data: Any) -> Any:
        """Hand [model], [training] and others down to whatever does not override them."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(data.get("clients"), list):
            _refuse_derived([data, *data["clients"]])
            data["clients"] = [
                inherit_tables(client, data, model="model", training="training")
                for client in data["clients"]
            ]
        if isinstance(server := data.get("server"), dict):
            student = inherit_tables(
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
            MODELS.trust(model.arch)
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

    @field_validator("clients")
    @classmethod
    def _complete_clients(cls, clients: list[Client], info: ValidationInfo) -> list[Client]:
        return [
            client.model_copy(update={"model": complete_model(client.model, info)})
            for client in clients
        ]

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit the default class list."""
        content: dict[str, Any] = handler(self)
        return {k: v for k, v in content.items() if k != "classes" or self.classes != CITYSCAPES}


def _refuse_derived(tables: list[Any]) -> None:
    """See that no [model] gives what follows from other keys."""
    for table in tables:
        model = table.get("model") if isinstance(table, dict) else None
        for key in [key for key in DERIVED if isinstance(model, dict) and key in model]:
            hint = "; write them as [classes]" if key == "classes" else ""
            raise ValueError(f"unknown key 'model.{key}'{hint}")


def _for_distillation(data: dict[str, Any]) -> dict[str, Any]:
    """The file with only those keys under [training] that every training has."""
    training = data.get("training")
    if not isinstance(training, dict):
        return data
    return data | {"training": {k: v for k, v in training.items() if k in Training.model_fields}}
