"""Loss: the focal loss of Lin et al., arXiv 1708.02002, eq. 5, with gamma = 2.

loss = "focal:focal_loss" under [training]
"""

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE = 255


def focal_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean of (1 - p)^2 times the cross-entropy of each class by its weight.

    p is the probability of the true class.
    """
    labels, weights = labels.long(), weights.to(logits.device)
    each = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    weighted = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="none")
    total = ((1 - torch.exp(-each)) ** 2 * weighted).sum()
    return total / (labels != IGNORE).sum().clamp(min=1)
