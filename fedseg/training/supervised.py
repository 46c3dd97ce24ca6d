"""Supervised training on labelled datasets: what a client does, and centralized training."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.classes import IGNORE
from fedseg.config import Model, Training
from fedseg.data.augment import Augmentation, geometry, photometry
from fedseg.data.dataset import Dataset
from fedseg.data.sampling import RareClassSampler
from fedseg.models.build import seeded_build
from fedseg.models.checkpoints import Info, describe
from fedseg.training.loop import Example, TrainingRun, fit


def train_supervised(
    datasets: list[Dataset],
    counts: list[np.ndarray],
    model: Model,
    run: TrainingRun[Any],
    initial_seed: int,
) -> tuple[nn.Module, Info]:
    """Train a model on one labelled dataset, or on several, each drawn from equally often.

    Args:
        datasets: labelled, of fine cards.
        counts: for each dataset int64 [N, 19], pixels of each trainId in each image.
        model: what to train.
        run: how.
        initial_seed: of the untrained weights. Clients of a federation share it, so that those of
            one architecture begin with the same weights, as in FedAvg.

    Returns:
        The model, in evaluation mode on the CPU, and what to know of it; its coverage is the set
        of classes with at least one labelled pixel.
    """
    coverage = np.flatnonzero(sum(count.sum(axis=0) for count in counts))
    info = describe(model, run.settings, tuple(int(c) for c in coverage))
    network = fit(
        seeded_build(model, initial_seed),
        _examples(datasets, counts, run.settings),
        cross_entropy,
        info.normalisation,
        run,
    )
    return network, info


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the labelled pixels of a batch; 0 where there are none.

    Args:
        logits: float32 [N, 19, H, W].
        labels: uint8 [N, H, W], trainIds, 255 ignored.
    """
    labels = labels.long()
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def _examples(
    datasets: list[Dataset], counts: list[np.ndarray], training: Training
) -> Callable[[np.random.Generator], Example]:
    """A function that draws a dataset, an image of it and an augmentation."""
    tables = [dataset.train_ids() for dataset in datasets]
    samplers = [RareClassSampler(count, training.rare_class_temperature) for count in counts]
    augment = Augmentation(lambda: geometry(training.crop, training.scale) + photometry())

    def example(rng: np.random.Generator) -> Example:
        chosen = int(rng.integers(len(datasets)))
        index = samplers[chosen].draw(rng)
        label = cv2.LUT(datasets[chosen].label(index), tables[chosen])
        image = datasets[chosen].image(index)
        return augment.both(image, label, int(rng.integers(2**31)))

    return example
