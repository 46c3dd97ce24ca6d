"""Supervised training on labelled datasets: what a client does, and centralized training."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import albumentations as A
import cv2
import numpy as np
from torch import Tensor, nn

from fedseg.classes import ClassList
from fedseg.config import SUPERVISED, Model, Privacy, SupervisedTraining, Training
from fedseg.data.augment import Augmentation, CropSource, geometry, photometry
from fedseg.data.dataset import Dataset
from fedseg.data.label_map import LabelMap
from fedseg.data.resized import ResizedDataset
from fedseg.data.sampling import RareClassSampler
from fedseg.errors import FedsegError
from fedseg.models.adapters import Part, adapted, trained_part
from fedseg.models.build import seeded_build
from fedseg.models.checkpoints import Info, describe_model
from fedseg.plugins import blame_plugin
from fedseg.registry import TRAINERS
from fedseg.training.loop import Example, TrainingRun, fit
from fedseg.training.losses import count_labelled, loss_of


class PrivacyCost(NamedTuple):
    """Cost of a private training: it is (epsilon, delta)-differentially private."""

    epsilon: float
    delta: float


@dataclass
class PrivacyLedger:
    """What a private training may cost, and what it costs."""

    privacy: Privacy
    """The most that the training may cost."""
    pay: Callable[[PrivacyCost], None] | None = None
    """Notes a cost where all trainings on the data are counted, or refuses it."""
    cost: PrivacyCost | None = None
    """What was spent."""

    def spend(self, cost: PrivacyCost) -> None:
        """Spend privacy; to be called before the first step.

        Raises:
            PublicError: it is refused.
        """
        if self.pay:
            self.pay(cost)
        self.cost = cost


def train_supervised(
    datasets: list[Dataset],
    counts: list[np.ndarray],
    model: Model,
    run: TrainingRun[SupervisedTraining],
    initial_seed: int,
    trainer: str = SUPERVISED,
    ledger: PrivacyLedger | None = None,
) -> tuple[nn.Module, Info, Part | None]:
    """Train a model on one labelled dataset, or on several, each drawn from equally often.

    Args:
        datasets: labelled, of fine cards.
        counts: for each dataset int64 [N, C], pixels of each trainId in each image.
        model: what to train.
        run: how.
        initial_seed: of the untrained weights. Clients of a federation share it, so that those of
            one architecture begin with the same weights, as in FedAvg.
        trainer: name of how it is trained, or "module:object".
        ledger: of a private training.

    Returns:
        The model, in evaluation mode on the CPU; what to know of it, where its coverage is the set
        of classes with at least one labelled pixel; and what was trained of it, if not all.

    Raises:
        FedsegError: a plugin that fails, or returns another model than it was given.
    """
    pixels = np.sum([count.sum(axis=0) for count in counts], axis=0)
    coverage = np.flatnonzero(pixels)
    info = describe_model(model, run.settings, tuple(int(c) for c in coverage))
    network = seeded_build(model, initial_seed)
    with adapted(network, model):
        task = TrainingTask(
            network=network,
            datasets=datasets,
            counts=counts,
            model=model,
            info=info,
            run=run,
            ledger=ledger,
        )
        train_model = TRAINERS.load(trainer)
        with blame_plugin("trainer", trainer):
            returned = train_model(task)
        if returned is not network:
            found = type(returned).__name__
            raise FedsegError(f"trainer '{trainer}': returned {found}; expected task.network")
        network.eval().cpu()
        trained = trained_part(network, model) if model.train != "all" else None
    return network, info, trained


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """What a trainer is given: a model with its first weights, and the data to train it on."""

    network: nn.Module
    """The model, to be trained in place: from normalised images float32 [N, 3, H, W] to logits
    float32 [N, C, H, W]."""
    datasets: list[Dataset]
    """Labelled; a client has one."""
    counts: list[np.ndarray]
    """For each dataset int64 [N, C], pixels of each trainId in each image."""
    model: Model
    """The model's configuration."""
    info: Info
    """Normalisation, classes and sizes of the model."""
    run: TrainingRun[SupervisedTraining]
    """Settings of the training, seed, device, state and callbacks."""
    ledger: PrivacyLedger | None = None
    """What a private training may cost."""

    @cached_property
    def examples(self) -> "Examples":
        """Draws augmented examples: from random numbers to image and label."""
        return Examples(self.datasets, self.counts, self.run.settings, self.model.classes)

    @cached_property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The configured loss, from logits [N, C, H, W] and labels [N, H, W] to a scalar."""
        pixels = np.sum([count.sum(axis=0) for count in self.counts], axis=0)
        return loss_of(self.run.settings.loss, pixels)

    def fit(self, loss: Callable[[Tensor, Tensor], Tensor] | None = None) -> nn.Module:
        """Train the model in fedseg's loop, which shows progress and resumes.

        Args:
            loss: from logits float32 [N, C, H, W] and labels uint8 [N, H, W] to a scalar; default:
                the configured one.

        Returns:
            `network`, in evaluation mode on the CPU.

        Raises:
            FloatingPointError: the loss became NaN or infinite.
        """
        return fit(
            self.network,
            self.examples,
            loss or self.loss,
            self.info.normalisation,
            self.run,
            count_labelled,
        )


def train(task: TrainingTask) -> nn.Module:
    """Train with the configured loss: what "supervised" stands for."""
    return task.fit()


class Examples:
    """Draws a dataset, an image of it and an augmentation."""

    def __init__(
        self,
        datasets: list[Dataset],
        counts: list[np.ndarray],
        training: Training,
        classes: ClassList,
    ) -> None:
        source = CropSource(training.crop, training.scale[0])
        self._datasets = [ResizedDataset(dataset, source) for dataset in datasets]
        self._tables = [LabelMap(dataset.card, classes).train_ids() for dataset in datasets]
        self._samplers = [RareClassSampler(count) for count in counts]
        self._augment = Augmentation(partial(_transforms, training.crop, training.scale))

    def __call__(self, rng: np.random.Generator) -> Example:
        """An image, uint8 [*crop, 3] RGB, and its labels, uint8 [*crop], 255 ignored."""
        chosen = int(rng.integers(len(self._datasets)))
        index = self._samplers[chosen].draw(rng)
        return self.augmented(chosen, index, int(rng.integers(2**31)))

    def augmented(self, dataset: int, index: int, seed: int) -> Example:
        """An image of a dataset, and its labels, augmented by a seed."""
        image, label = self._datasets[dataset].pair(index)
        return self._augment.both(image, cv2.LUT(label, self._tables[dataset]), seed)


def _transforms(crop: tuple[int, int], scale: tuple[float, float]) -> list[A.BasicTransform]:
    return geometry(crop, scale) + photometry()
