"""Supervised training on labelled datasets: what a client does, and centralized training."""

from collections.abc import Callable
from functools import partial
from typing import Any

import albumentations as A
import cv2
import numpy as np
from torch import nn

from fedseg.classes import ClassList
from fedseg.config import Model, Training
from fedseg.data.augment import Augmentation, CropSource, geometry, photometry
from fedseg.data.dataset import Dataset
from fedseg.data.label_map import LabelMap
from fedseg.data.resized import ResizedDataset
from fedseg.data.sampling import RareClassSampler
from fedseg.models.adapters import Part, adapted, part
from fedseg.models.build import seeded_build
from fedseg.models.checkpoints import Info, describe
from fedseg.run.progress import OnProgress
from fedseg.training.loop import Example, TrainingRun, fit
from fedseg.training.losses import labelled, loss_of


def train_supervised(
    datasets: list[Dataset],
    counts: list[np.ndarray],
    model: Model,
    run: TrainingRun[Any],
    initial_seed: int,
    validation: Callable[[Info, nn.Module, OnProgress], float] | None = None,
) -> tuple[nn.Module, Info, Part | None]:
    """Train a model on one labelled dataset, or on several, each drawn from equally often.

    Args:
        datasets: labelled, of fine cards.
        counts: for each dataset int64 [N, C], pixels of each trainId in each image.
        model: what to train.
        run: how.
        initial_seed: of the untrained weights. Clients of a federation share it, so that those of
            one architecture begin with the same weights, as in FedAvg.
        validation: scores the model now and then; the best is taken. Default: the last one is.

    Returns:
        The model, in evaluation mode on the CPU; what to know of it, where its coverage is the set
        of classes with at least one labelled pixel; and what was trained of it, if not all.
    """
    pixels = np.sum([count.sum(axis=0) for count in counts], axis=0)
    coverage = np.flatnonzero(pixels)
    info = describe(model, run.settings, tuple(int(c) for c in coverage))
    network = seeded_build(model, initial_seed)
    with adapted(network, model):
        fit(
            network,
            Examples(datasets, counts, run.settings, model.classes),
            loss_of(run.settings.loss, pixels),
            info.normalisation,
            run,
            labelled,
            partial(validation, info) if validation else None,
        )
        trained = part(network, model) if model.train != "all" else None
    return network, info, trained


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
        self._samplers = [
            RareClassSampler(count, training.rare_class_temperature) for count in counts
        ]
        self._augment = Augmentation(partial(_transforms, training.crop, training.scale))

    def __call__(self, rng: np.random.Generator) -> Example:
        """An image, uint8 [*crop, 3] RGB, and its labels, uint8 [*crop], 255 ignored."""
        chosen = int(rng.integers(len(self._datasets)))
        index = self._samplers[chosen].draw(rng)
        image, label = self._datasets[chosen].pair(index)
        label = cv2.LUT(label, self._tables[chosen])
        return self._augment.both(image, label, int(rng.integers(2**31)))


def _transforms(crop: tuple[int, int], scale: tuple[float, float]) -> list[A.BasicTransform]:
    return geometry(crop, scale) + photometry()
