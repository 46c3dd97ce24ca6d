"""Distilling the clients into one global model.

The student sees augmented views of the server's images and learns to predict the soft
targets that the clients, fused, gave to the images as they are.
"""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.config import Distillation, Model
from fedseg.data.dataset import Dataset
from fedseg.method.features import WIDTH, Featured, feature_width, from_bytes
from fedseg.method.views import Views
from fedseg.models.adapters import adapted
from fedseg.models.checkpoints import Info
from fedseg.training.loop import TrainingRun, fit


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
        fit(
            network,
            Views(dataset, targets, settings, info),
            loss,
            info.normalisation,
            run,
        )
    return start


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
