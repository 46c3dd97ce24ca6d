"""Losses of a supervised training, by the name that `[training] loss` gives them."""

import math
from collections.abc import Callable

from segmentation_models_pytorch.losses import DiceLoss, LovaszLoss
from torch import Tensor
from torch.nn import functional as F

from fedseg.classes import IGNORE

CONFIDENT = 0.7
"""Probability of the true class from which on a pixel is not hard."""
FEWEST = 1 / 16
"""Part of the labelled pixels that count as hard in any case."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the labelled pixels of a batch; 0 where there are none.

    Args:
        logits: float32 [N, C, H, W].
        labels: uint8 [N, H, W], trainIds, 255 ignored.
    """
    labels = labels.long()
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
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
    return _with(DiceLoss("multiclass", ignore_index=IGNORE), logits, labels)


def with_lovasz(logits: Tensor, labels: Tensor) -> Tensor:
    """`cross_entropy`, and a loss that is 1 - IoU where predictions are certain.

    The Lovász-softmax loss, Berman et al., arXiv 1705.08790, over the labelled classes of a batch.
    """
    return _with(LovaszLoss("multiclass", ignore_index=IGNORE), logits, labels)


def _with(other: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> Tensor:
    plain = cross_entropy(logits, labels)
    return plain + other(logits, labels.long()) if labelled(labels) else plain


def labelled(labels: Tensor) -> Tensor:
    """How many pixels of uint8 [N, H, W] have a label."""
    return (labels != IGNORE).sum()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "ohem": hard_pixels,
    "dice": with_dice,
    "lovasz": with_lovasz,
}
