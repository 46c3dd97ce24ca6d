"""Supervised training with differential privacy: DP-SGD, with Opacus.

Abadi et al., Deep Learning with Differential Privacy, arXiv 1607.00133, algorithm 1: each image is
drawn with the same probability, its gradient is clipped, and noise is added to the sum. What is
protected is whether one image, with its label, was in the training set at all.

The draws and the noise are secret: with the federation's seed, which the server knows, the noise
could be subtracted. So two trainings are never equal.

Needs the optional extra `fedseg[privacy]`.
"""

import secrets
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.classes import IGNORE
from fedseg.config import Privacy, Training
from fedseg.errors import PublicError, import_extra
from fedseg.training.loop import Example, fit
from fedseg.training.optimisation import Stepper
from fedseg.training.supervised import Examples, PrivacyCost, TrainingTask

ACCOUNTANT = "rdp"
"""Rényi differential privacy: Mironov et al., arXiv 1908.10530."""

Drawn = tuple[int, int] | None
"""Index of an image and seed of its augmentation; None: no image was drawn."""


def train(task: TrainingTask) -> nn.Module:
    """Train a model on one labelled dataset with differential privacy: the trainer "private".

    Images are drawn without regard to rare classes, `batch_size` is the number of images drawn on
    average, and nothing that is drawn follows from the seed. The arithmetic is float32, and the
    state is not saved. Losses must not leave this machine.

    Args:
        task: a model without batch normalisations, which mix images, and one dataset.

    Raises:
        PublicError: Opacus is missing, the budget can't be met, the dataset is too small, or the
            task asks for what private training has not.
        FloatingPointError: the loss became NaN or infinite.
    """
    opacus = _opacus()
    if task.ledger is None:
        raise PublicError("the trainer 'private' needs [privacy], which says what it may cost")
    privacy, run = task.ledger.privacy, task.run
    settings, [dataset] = run.settings.model_copy(update={"precision": "float32"}), task.datasets
    _check(task, privacy, len(dataset))
    rate = min(settings.batch_size / len(dataset), 1.0)
    noise, cost = noise_for_budget(privacy, rate, settings.iterations)
    for module in task.network.modules():
        if hasattr(module, "inplace"):  # what a hook saw must not change
            setattr(module, "inplace", False)  # noqa: B010 - modules hold tensors, for mypy
    if problems := opacus.GradSampleModule.validate(task.network):
        raise PublicError(f"private training can't train this model: {problems[0]}")
    task.ledger.spend(cost)
    return fit(
        task.network,
        PrivateExamples(task.examples, settings.crop),
        mean_over_images,
        task.info.normalisation,
        replace(run, settings=settings, state=None, processes=min(run.workers(), 1)),
        draw=PoissonDraw(len(dataset), rate),
        make_stepper=partial(PrivateStepper, noise, privacy.max_grad_norm, rate * len(dataset)),
    )


def _check(task: TrainingTask, privacy: Privacy, images: int) -> None:
    """See that a private training is possible."""
    if task.model.train != "all":
        raise PublicError(f"trains privately, so not with train = '{task.model.train}'")
    if task.run.settings.loss != "cross_entropy":
        raise PublicError("trains privately, so with no loss but the cross-entropy")
    if privacy.delta >= 1 / images:
        raise PublicError(
            f"privacy.delta = {privacy.delta:g} allows to publish one image of {images}; "
            f"set it below {1 / images:.1g}"
        )


def noise_for_budget(privacy: Privacy, rate: float, steps: int) -> tuple[float, PrivacyCost]:
    """The noise that a training needs, and what it then costs.

    Args:
        privacy: what it may cost.
        rate: probability that an image is drawn at a step, 0..1.
        steps: of the training.

    Returns:
        Standard deviation of the noise by `max_grad_norm`, and (epsilon, delta).

    Raises:
        PublicError: no noise that Opacus tries is enough.
    """
    opacus = _opacus()
    try:
        noise = opacus.accountants.utils.get_noise_multiplier(
            target_epsilon=privacy.epsilon,
            target_delta=privacy.delta,
            sample_rate=rate,
            steps=steps,
            accountant=ACCOUNTANT,
        )
    except ValueError:
        raise PublicError(
            f"privacy.epsilon = {privacy.epsilon:g} can't be kept in {steps} steps; raise it, or "
            "train for fewer steps or on more images"
        ) from None
    accountant = opacus.accountants.create_accountant(ACCOUNTANT)
    accountant.history = [(noise, rate, steps)]
    return noise, PrivacyCost(accountant.get_epsilon(privacy.delta), privacy.delta)


@dataclass(frozen=True)
class PoissonDraw:
    """Draws each image of a dataset independently, by secret random numbers."""

    images: int
    """Images of the dataset."""
    rate: float
    """Probability of each, 0..1."""

    def __call__(self, seed: int, step: int, batch_size: int) -> list[Drawn]:
        """Draw the images of a step; [None] if there are none."""
        rng = np.random.default_rng(secrets.randbits(128))
        chosen = np.flatnonzero(rng.random(self.images) < self.rate).tolist()
        seeds = rng.integers(2**31, size=len(chosen)).tolist()
        return [*zip(chosen, seeds, strict=True)] or [None]


@dataclass(frozen=True)
class PrivateExamples:
    """Makes examples of the images that are drawn.

    Where none is drawn, it makes one without a label, whose gradient is 0: noise is added at every
    step, or the number of images in it would show.
    """

    examples: Examples
    crop: tuple[int, int]

    def __call__(self, drawn: Drawn) -> Example:
        """Make an example."""
        if drawn is None:
            return np.zeros((*self.crop, 3), np.uint8), np.full(self.crop, IGNORE, np.uint8)
        return self.examples.augmented(0, *drawn)


class PrivateStepper(Stepper):
    """Clips the gradient of each image, and adds secret noise to their sum.

    Args:
        noise: its standard deviation, by `max_norm`.
        max_norm: L2 norm that each image's gradient is clipped to.
        images: number of images in a batch on average.
        network, settings, device: as of any stepper.
    """

    def __init__(
        self,
        noise: float,
        max_norm: float,
        images: float,
        network: nn.Module,
        settings: Training,
        device: torch.device,
    ) -> None:
        super().__init__(network, settings, device)
        opacus = _opacus()
        self.network = opacus.GradSampleModule(network)
        self.optimiser = opacus.optimizers.DPOptimizer(
            self.optimiser,
            noise_multiplier=noise,
            max_grad_norm=max_norm,
            expected_batch_size=images,
            generator=torch.Generator(device).manual_seed(secrets.randbits(63)),
        )


def mean_over_images(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the images of a batch of each one's own cross-entropy."""
    return cross_entropy_by_image(logits, labels).mean()


def cross_entropy_by_image(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the labelled pixels of each image; 0 where it has none.

    Args:
        logits: float32 [N, C, H, W].
        labels: uint8 [N, H, W], trainIds, 255 ignored.

    Returns:
        float32 [N].
    """
    labels = labels.long()
    loss = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    return loss.sum(dim=(1, 2)) / (labels != IGNORE).sum(dim=(1, 2)).clamp(min=1)


def _opacus() -> ModuleType:
    what = "private training", "privacy"
    import_extra("opacus.accountants.utils", *what)
    return import_extra("opacus", *what)
