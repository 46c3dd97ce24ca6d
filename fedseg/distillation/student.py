"""Distilling the clients into one global model.

The student sees augmented views of the server's images and learns to predict the soft
targets that the clients, fused, gave to the images as they are.
"""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.config import Distillation, Model
from fedseg.data.augment import Augmentation, photometry
from fedseg.data.dataset import Dataset
from fedseg.distillation.features import WIDTH, Featured, feature_width, from_bytes
from fedseg.distillation.teachers import TARGET_STRIDE, read_target
from fedseg.models.adapters import adapted
from fedseg.models.checkpoints import Info
from fedseg.training.loop import Example, TrainingRun, fit


def distill(
    dataset: Dataset,
    targets: Path,
    start: nn.Module,
    info: Info,
    run: TrainingRun[Distillation],
    model: Model | None = None,
) -> nn.Module:
    """Train the global model on the server's images and their soft targets.

    Args:
        dataset: the server's images.
        targets: folder of the fused targets, one array an image.
        start: the model to train, in place.
        info: of that model.
        run: how.
        model: says what of it is trained; default: all.

    Returns:
        The global model, in evaluation mode on the CPU.
    """
    settings = run.settings
    network, loss = start, soft_cross_entropy
    if settings.feature_weight:
        torch.manual_seed(run.seed)
        projection = nn.Conv2d(feature_width(start), WIDTH, 1)
        network = Featured(start, projection)
        loss = partial(feature_loss, settings.feature_weight, len(info.classes))
    with adapted(start, model or info.model):
        fit(network, Views(dataset, targets, settings), loss, info.normalisation, run)
    return start


class Views:
    """Draws an image, a view of it and an augmentation, with the view's target."""

    def __init__(self, dataset: Dataset, targets: Path, settings: Distillation) -> None:
        self._dataset, self._targets, self._settings = dataset, targets, settings
        self._augment = Augmentation(photometry)

    def __call__(self, rng: np.random.Generator) -> Example:
        """A view, uint8 [*crop, 3] RGB, and its target, uint8 [crop / 4, C]."""
        index = int(rng.integers(len(self._dataset)))
        image, target = random_view(
            self._dataset.image(index),
            read_target(self._targets, index),
            self._settings.crop,
            self._settings.scale,
            rng,
        )
        return self._augment(image, None, int(rng.integers(2**31)))[0], target


def random_view(
    image: np.ndarray,
    target: np.ndarray,
    crop: tuple[int, int],
    scale: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The same random part of an image and of its target, at the sizes that training takes.

    Args:
        image: uint8 [H, W, 3].
        target: uint8 [h, w, C], a coarser grid over the same picture.
        crop: height and width of the view in pixels.
        scale: smallest and largest part of the picture's area that a view shows.
        rng: random numbers.

    Returns:
        The view, uint8 [*crop, 3], and its target, uint8 [crop / 4, C].
    """
    height, width = target.shape[:2]
    area = rng.uniform(*scale)
    aspect = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    # The window is a whole number of target pixels, so that view and target show the same.
    rows = int(np.clip(round(height * np.sqrt(area / aspect)), 1, height))
    columns = int(np.clip(round(width * np.sqrt(area * aspect)), 1, width))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    y, x = image.shape[0] / height, image.shape[1] / width
    window = image[
        round(top * y) : round((top + rows) * y), round(left * x) : round((left + columns) * x)
    ]
    part = target[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        window, part = window[:, ::-1], part[:, ::-1]
    small = (crop[1] // TARGET_STRIDE, crop[0] // TARGET_STRIDE)
    view = cv2.resize(np.ascontiguousarray(window), crop[::-1], interpolation=cv2.INTER_LINEAR)
    return view, cv2.resize(np.ascontiguousarray(part), small, interpolation=cv2.INTER_LINEAR)


def feature_loss(weight: float, classes: int, output: Tensor, target: Tensor) -> Tensor:
    """`soft_cross_entropy`, and the mean squared distance of the features to the fused ones.

    Args:
        weight: of that distance.
        classes: C, how many there are.
        output: float32 [N, C + D, H, W], of a `features.Featured` student.
        target: uint8 [N, h, w, C + D], after the classes the fused features, -1..1 as 0..255.
    """
    size = target.shape[1:3]
    wanted = from_bytes(target[..., classes:]).permute(0, 3, 1, 2)
    given = F.interpolate(output[:, classes:], size, mode="bilinear", align_corners=False)
    distance = F.mse_loss(given.tanh(), wanted)
    of_classes = soft_cross_entropy(output[:, :classes], target[..., :classes])
    return of_classes + weight * distance


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy between soft targets and a student: KL divergence up to a constant.

    The mean over pixels of -sum_c t_c log softmax(z)_c (Hinton et al., arXiv 1503.02531,
    section 2; the temperature is in the targets already).

    Args:
        logits: float32 [N, C, H, W].
        target: uint8 [N, h, w, C], probabilities of which 255 stands for 1; resized to the logits.
    """
    soft = target.permute(0, 3, 1, 2).float()
    soft = soft / soft.sum(dim=1, keepdim=True).clamp(min=1)
    soft = F.interpolate(soft, logits.shape[-2:], mode="bilinear", align_corners=False)
    return -(soft * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
