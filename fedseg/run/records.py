"""What the JSON files of a run folder hold."""

from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from fedseg.config import Protocol
from fedseg.storage.frames import Rows, to_frame, to_html
from fedseg.storage.records import Document, Product, Record
from fedseg.units import format_percent

ByClass = dict[str, float | None]
"""A number, 0..1, for each class by its name; None where there is none."""


class ProtocolRecord(Protocol):
    """How a score was made."""

    scored_at: Literal["label resolution"] = "label resolution"
    input_sizes: tuple[tuple[int, int], ...] | None = None
    """Height and width of what the model was shown; None where another machine did it."""


class SetScore(Record):
    """A model's score on one dataset, in short."""

    dataset: str
    """Name of the dataset card."""
    split: str
    images: int
    miou: float | None
    """Mean IoU, 0..1; None where no class has one."""
    miou_classes: list[str]
    """Classes that it averages over."""
    iou: ByClass
    """None where a class is neither labelled nor predicted."""


class Score(SetScore, Product):
    """evaluation/<model>@<set>.json: a model's score on one dataset."""

    protocol: ProtocolRecord
    """How images were shown to the model."""
    classes: list[str]
    """Classes of the dataset."""
    confusion: list[list[int]]
    """Pixels [C, C]; rows are true classes, columns predicted ones."""
    miou_16: float | None
    """Mean IoU over SYNTHIA's 16 classes; None for a dataset of coarser classes."""
    miou_16_classes: list[str]
    frequency_weighted_iou: float | None
    pixel_accuracy: float | None
    model: str | None = None
    """Name of the model."""
    checkpoint: str | None = None
    """Its folder, where it is not one of a run."""

    def __repr__(self) -> str:
        shown = "no mIoU" if self.miou is None else f"mIoU {format_percent(self.miou)} %"
        whose = f"{self.model} on " if self.model else ""
        return f"<Score {whose}{self.dataset} {self.split}: {shown}, {self.images} images>"

    def _repr_html_(self) -> str:
        rows = {name: {"IoU %": value} for name, value in self.iou.items()}
        return to_html(rows | {"mean": {"IoU %": self.miou}}, "class", repr(self)[1:-1])

    def to_frame(self) -> Any:
        """A pandas DataFrame: a row for each class, the column `iou`, 0..1.

        Raises:
            FedsegError: pandas is not installed.
        """
        return to_frame({name: {"iou": value} for name, value in self.iou.items()}, "class")

    def of_model(self, model: str, checkpoint: str | None = None) -> Self:
        """The same score, with the model's name and folder."""
        return self.model_copy(update={"model": model, "checkpoint": checkpoint})

    def in_short(self) -> SetScore:
        """What result.json keeps of it."""
        return SetScore.model_validate(self.model_dump(include=set(SetScore.model_fields)))


Evaluation = dict[str, dict[str, SetScore]]
"""Scores by model and evaluation set."""


class CrossSiteScore(Product):
    """cross_site_evaluation/<model>@<client>.json: what a client's data says of another's model."""

    model: str
    site: str
    classes: tuple[str, ...]
    confusion: list[list[int]]
    """Pixels [C, C]; rows are true classes, columns predicted ones."""

    def matrix(self) -> np.ndarray:
        """The confusion matrix, int64 [C, C]."""
        return np.array(self.confusion, np.int64)


class PairAgreement(Record):
    """On what two clients agree."""

    clients: tuple[str, str]
    iou: ByClass
    """IoU of their predictions."""


class Claim(Record):
    """A class that only one client knows, and what the others see where it sees that class."""

    client: str
    class_name: str = Field(alias="class")
    pixels: int
    """To which the client gives the class."""
    seen_as: str
    """The class that another client most often gives to these pixels."""
    share: float
    """Part of these pixels that have that class, 0..1."""
    taken: float
    """Part of the others' pixels of `seen_as` that the claim takes, 0..1."""


class Inconsistency(Product):
    """inconsistency.json: on which classes the clients disagree."""

    clients: list[str]
    """Clients that it is computed over."""
    agreement: dict[str, float | None]
    """How far each client agrees with the others, 0..1; None for a client without others."""
    consistency: dict[str, ByClass] = Field(default_factory=dict)
    """How consistent each client is with itself, by class, 0..1; None for a class that it does not
    know. Empty, as are the next two, unless `votes = "consistency"`."""
    trust: dict[str, float] = Field(default_factory=dict)
    """Mean consistency of each client over the classes that all of them know, 0..1."""
    weights: dict[str, float] = Field(default_factory=dict)
    """How much each client's vote counts, 2/3..1."""
    inconsistency: ByClass
    unstable: list[str]
    """Classes of the highest inconsistency, the highest first."""
    pairs: list[PairAgreement]
    suspects: tuple[str, ...] = ()
    """Clients that were left out because they agree with nobody, or gave nothing usable."""
    unusable: dict[str, str] = Field(default_factory=dict)
    """Clients that gave nothing usable, with the reason."""
    doubtful: tuple[str, ...] = ()
    """Clients that agree with nobody, but were kept, because too few others agree."""
    claims: tuple[Claim, ...] = ()
    """Classes that a single client knows."""
    after_augmentation: ByClass | None = None
    """The inconsistency with the generated images; None where none were made."""

    @property
    def ranked(self) -> list[str]:
        """Clients that were not left out, the best first; those in doubt come last.

        The best is the one that is trusted most; where trust was not measured, the one that agrees
        most with the others.
        """
        kept = [name for name in self.agreement if name not in self.suspects]
        merit = self.trust or {name: value or 0.0 for name, value in self.agreement.items()}
        return sorted(
            kept, key=lambda name: (name not in self.doubtful, merit.get(name, 0.0)), reverse=True
        )


class ParticipantResult(Record):
    """What became of a client or an evaluator."""

    status: Literal["good", "failed"]
    reason: str | None = None
    """Reason of the failure."""
    dataset: str | None = None
    images: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether its part succeeded."""
        return self.status == "good"


class ClientResult(ParticipantResult):
    """What became of a client."""

    iterations: int | None = None
    seconds: float | None = None
    """Training time."""
    bytes: int | None = None
    """Size of the upload."""
    sha256: str | None = None
    """Hash of the weights it sent."""
    epsilon: float | None = None
    delta: float | None = None
    """Its training was (epsilon, delta)-differentially private."""
    arch: str | None = None
    encoder: str | None = None
    coverage: list[int] | None = None
    """TrainIds of the classes that it was trained on."""


class EvaluatorResult(ParticipantResult):
    """What became of an evaluator."""

    split: str | None = None


class Result(Document):
    """result.json: a whole run in one summary."""

    status: Literal["completed", "failed"]
    error: str | None = None
    """Reason of the failure."""
    seed: int
    clients: dict[str, ClientResult]
    evaluators: dict[str, EvaluatorResult] = Field(default_factory=dict)
    suspects: tuple[str, ...] = ()
    unusable: dict[str, str] = Field(default_factory=dict)
    doubtful: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    unstable_classes: tuple[str, ...] = ()
    inconsistency: ByClass = Field(default_factory=dict)
    """These as in inconsistency.json."""
    evaluation: Evaluation
    """mIoU and IoU by model and evaluation set."""
    seconds: dict[str, float]
    """Wall-clock time of the stages that ran."""
    audit: str | None = None
    """Hash of the last line of the audit log."""
    versions: dict[str, str]
    """Versions of the packages that made it."""

    def __repr__(self) -> str:
        good = sum(client.is_good for client in self.clients.values())
        clients = f"{good} of {len(self.clients)} clients"
        return f"<Result {self.status}: seed {self.seed}, {clients}, {len(self.evaluation)} models>"

    def _repr_html_(self) -> str:
        return to_html(self._mious(), "model", f"{repr(self)[1:-1]}; mIoU in %")

    def to_frame(self) -> Any:
        """A pandas DataFrame: a row for each model, a column for each set, mIoU in 0..1.

        Raises:
            FedsegError: pandas is not installed.
        """
        return to_frame(self._mious(), "model")

    def _mious(self) -> Rows:
        return {
            model: {chosen: score.miou for chosen, score in row.items()}
            for model, row in self.evaluation.items()
        }

    def why_left_out(self, client: str) -> str:
        """Return why the global model was made without a suspect."""
        return self.unusable.get(client, "agrees with nobody")

    @property
    def is_complete(self) -> bool:
        """Whether the run reached its end."""
        return self.status == "completed"

    def scored_sets(self) -> list[str]:
        """The evaluation sets that any model has a score on."""
        return list(dict.fromkeys(name for row in self.evaluation.values() for name in row))

    def failed_clients(self) -> str:
        """What a run that failed says first: which clients did, and why."""
        return "".join(
            f"client '{name}': {client.reason}; "
            for name, client in self.clients.items()
            if not client.is_good
        )

    def with_scores(self, scores: Evaluation) -> Self:
        """The same result with other scores."""
        return self.model_copy(update={"evaluation": scores})


class Recipe(Product):
    """generated/<i>.json: what an image should show, and how it was made."""

    class_name: str = Field(alias="class")
    box: tuple[float, float, float, float]
    """Top, left, bottom and right of the region of that class, in parts of the image."""
    area: float
    """Size of that region, in parts of the image."""
    made_of: dict[str, str | int | float] = Field(default_factory=dict)
    """Prompt, or images that it was made of."""
    is_certain: bool = False
    """Whether the class is there by construction."""
    sha256: str
    """Hash of the image file."""


class Judgement(Record):
    """An entry of the manifest."""

    file: str
    recipe: Recipe
    kept: bool
    reason: str


class Manifest(Document):
    """generated/manifest.json: which of the generated images were kept, and why."""

    made: int
    kept: int
    images: list[Judgement]
