"""Losses of a supervised training, by the name that `[training] loss` gives them."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fedseg.classes import IGNORE
from fedseg.models.libraries import smp

CONFIDENT = 0.7
"""Probability of the true class from which on a pixel is not hard."""
FEWEST = 1 / 16
"""Part of the labelled pixels that count as hard in any case."""
SOFTEST = 1.02
"""What bounds the weight of a rare class: at 1 / ln(1.02), 50."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits and labels, as `cross_entropy` takes them."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the labelled pixels of a batch; 0 where there are none.

    Args:
        logits: float32 [N, C, H, W].
        labels: uint8 [N, H, W], trainIds, 255 ignored.
    """
    labels = labels.long()
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def class_weights(pixels: np.ndarray) -> Tensor:
    """How much a pixel of each class counts: more, the rarer the class is.

    w_c ~ 1 / ln(1.02 + f_c), f_c being the part of the labelled pixels that are of class c (Paszke
    et al., ENet, arXiv 1606.02147, section 5.2), so that a labelled pixel counts 1 on average.

    Args:
        pixels: int64 [C], of each class.

    Returns:
        float32 [C].
    """
    part = pixels / max(pixels.sum(), 1)
    weights = 1 / np.log(SOFTEST + part)
    return torch.from_numpy(weights / ((weights * part).sum() or 1)).float()


def weighted_cross_entropy(weights: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """`cross_entropy` in which the pixels of each class count by its weight, float32 [C]."""
    labels = labels.long()
    weights = weights.to(logits.device)
    total = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def hard_pixels(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the hard pixels of a batch: online hard example mining.

    Shrivastava et al., arXiv 1604.03540; here those whose true class has a probability below 0.7,
    but at least a sixteenth of the labelled ones.

    Args:
        logits: float32 [N, C, H, W].
        labels: uint8 [N, H, W], trainIds, 255 ignored.
    """
    labels = labels.long()
    each = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    each = each[labels != IGNORE]
    if not len(each):
        return logits.sum() * 0
    hard = each[each > -math.log(CONFIDENT)]
    fewest = math.ceil(FEWEST * len(each))
    return hard.mean() if len(hard) >= fewest else each.topk(fewest).values.mean()


def with_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """`cross_entropy`, and the Dice loss: the mean over classes of 1 - 2 |A B| / (|A| + |B|).

    Milletari et al., arXiv 1606.04797, section 3. Classes without a label count as 0.
    """
    return _with(smp.losses.DiceLoss("multiclass", ignore_index=IGNORE), logits, labels)


def with_lovasz(logits: Tensor, labels: Tensor) -> Tensor:
    """`cross_entropy`, and a loss that is 1 - IoU where predictions are certain.

    The Lovász-softmax loss, Berman et al., arXiv 1705.08790, over the labelled classes of a batch.
    """
    return _with(smp.losses.LovaszLoss("multiclass", ignore_index=IGNORE), logits, labels)


def _with(other: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    plain = cross_entropy(logits, labels)
    return plain + other(logits, labels.long()) if labelled(labels) else plain


def labelled(labels: Tensor) -> Tensor:
    """How many pixels of uint8 [N, H, W] have a label."""
    return (labels != IGNORE).sum()


def loss_of(name: str, pixels: np.ndarray) -> Loss:
    """The loss of that name, for data with that many pixels of each class, int64 [C]."""
    if name == "weighted":
        return partial(weighted_cross_entropy, class_weights(pixels))
    return LOSSES[name]


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "ohem": hard_pixels,
    "dice": with_dice,
    "lovasz": with_lovasz,
}
