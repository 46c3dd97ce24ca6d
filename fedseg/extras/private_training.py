"""Supervised training with differential privacy: DP-SGD, with Opacus.

Abadi et al., Deep Learning with Differential Privacy, arXiv 1607.00133, algorithm 1: each image is
drawn with the same probability, its gradient is clipped, and noise is added to the sum. What is
protected is whether one image, with its label, was in the training set at all.

The draws and the noise are secret: with the federation's seed, which the server knows, the noise
could be subtracted. So two trainings are never equal.

Needs the optional extra `fedseg[privacy]`.
"""

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from fedseg.classes import IGNORE, ClassList
from fedseg.config import Model, Privacy, Training
from fedseg.data.augment import Augmentation, CropSource, geometry, photometry
from fedseg.data.dataset import Dataset
from fedseg.data.label_map import LabelMap
from fedseg.data.loading import prefetch
from fedseg.data.resized import ResizedDataset
from fedseg.errors import PublicError, import_extra
from fedseg.machine import limit_threads
from fedseg.models.build import seeded_build
from fedseg.models.checkpoints import Info, describe
from fedseg.training.loop import TrainingRun, normalise, note_loss
from fedseg.training.optimisation import learning_rate_factor, parameter_groups

ACCOUNTANT = "rdp"
"""Rényi differential privacy: Mironov et al., arXiv 1908.10530."""


class Spent(NamedTuple):
    """What a training cost: it is (epsilon, delta)-differentially private."""

    epsilon: float
    delta: float


def train_privately(
    dataset: Dataset,
    coverage: tuple[int, ...],
    model: Model,
    privacy: Privacy,
    run: TrainingRun[Any],
    initial_seed: int,
    spend: Callable[[Spent], None] | None = None,
) -> tuple[nn.Module, Info, Spent]:
    """Train a model on one labelled dataset with differential privacy.

    Args:
        dataset: labelled, of a fine card.
        coverage: trainIds of the classes that it has.
        model: what to train; its normalisation becomes group normalisation, because a batch
            normalisation mixes images.
        privacy: what it may cost.
        run: how. Images are drawn without regard to rare classes, `batch_size` is the number of
            images drawn on average, and the seed is not used. The state is not saved. Losses must
            not leave this machine.
        initial_seed: of the untrained weights.
        spend: notes what the training costs, or refuses it; called before the first step.

    Returns:
        The model, in evaluation mode on the CPU, what to know of it, and what it cost.

    Raises:
        PublicError: Opacus is missing, the budget can't be met, or the dataset is too small.
        FloatingPointError: the loss became NaN or infinite.
    """
    opacus = _opacus()
    training, device = run.settings, run.device
    images = len(dataset)
    if privacy.delta >= 1 / images:
        raise PublicError(
            f"privacy.delta = {privacy.delta:g} allows to publish one image of {images}; "
            f"set it below {1 / images:.1g}"
        )
    for name, value, plain_value in (
        ("ema", training.ema, None),
        ("accumulation", training.accumulation, 1),
        ("max_grad_norm", training.max_grad_norm, None),
        ("loss", training.loss, "cross_entropy"),
    ):
        if value != plain_value:
            raise PublicError(
                f"training.{name} is not for private training, which clips each image's gradient "
                "by privacy.max_grad_norm; leave it out"
            )
    rate = min(training.batch_size / images, 1.0)
    noise, spent = budget(privacy, rate, training.iterations)
    info = describe(model.model_copy(update={"norm": "group"}), training, coverage)
    limit_threads()
    plain = seeded_build(model.model_copy(update={"norm": "group"}), initial_seed)
    for module in plain.modules():
        if hasattr(module, "inplace"):  # what a hook saw must not change
            setattr(module, "inplace", False)  # noqa: B010 - modules hold tensors, for mypy
    network = opacus.GradSampleModule(plain.to(device).train())
    source = torch.Generator(device).manual_seed(secrets.randbits(63))
    optimiser = opacus.optimizers.DPOptimizer(
        torch.optim.AdamW(parameter_groups(plain, training)),
        noise_multiplier=noise,
        max_grad_norm=privacy.max_grad_norm,
        expected_batch_size=rate * images,
        generator=source,
    )
    scheduler = LambdaLR(optimiser, partial(learning_rate_factor, settings=training))
    losses: list[float] = []
    if spend:
        spend(spent)
    for callback in run.callbacks:
        callback.on_start(losses)
    for pictures, labels in _batches(dataset, model.classes, training, rate):
        logits = network(normalise(pictures.to(device), info.normalisation))
        value = cross_entropy_by_image(logits.float(), labels.to(device)).mean()
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        scheduler.step()
        note_loss(value.item(), losses, training, run.callbacks)
    for callback in run.callbacks:
        callback.on_end(losses)
    return plain.eval().cpu(), info, spent


def budget(privacy: Privacy, rate: float, steps: int) -> tuple[float, Spent]:
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
    return noise, Spent(accountant.get_epsilon(privacy.delta), privacy.delta)


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


def _batches(
    dataset: Dataset, classes: ClassList, training: Training, rate: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of images, each drawn independently with probability `rate`.

    A draw without any image gives one image without a label, whose gradient is 0: noise is added at
    every step, or the number of images in it would show.
    """
    table = LabelMap(dataset.card, classes).train_ids()
    resized = ResizedDataset(dataset, CropSource(training.crop, training.scale[0]))
    augment = Augmentation(lambda: geometry(training.crop, training.scale) + photometry())
    rng = np.random.default_rng(secrets.randbits(128))

    def draw() -> tuple[list[int], list[int]]:
        chosen = np.flatnonzero(rng.random(len(dataset)) < rate).tolist()
        return chosen, rng.integers(2**31, size=len(chosen)).tolist()

    def batch(drawn: tuple[list[int], list[int]]) -> tuple[Tensor, Tensor]:
        examples = []
        for index, seed in zip(*drawn, strict=True):
            image, label = resized.pair(index)
            examples.append(augment.both(image, cv2.LUT(label, table), seed))
        if not examples:
            nothing = np.full(training.crop, IGNORE, np.uint8)
            examples = [(np.zeros((*training.crop, 3), np.uint8), nothing)]
        images, labels = zip(*examples, strict=True)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))

    draws = (draw() for _ in range(training.iterations))
    return prefetch(batch, draws, training.threads, 2 * training.threads)


def _opacus() -> ModuleType:
    what = "private training", "privacy"
    import_extra("opacus.accountants.utils", *what)
    return import_extra("opacus", *what)
