"""The loss of supervised training; `[training] loss` chooses another."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fedseg.classes import IGNORE
from fedseg.errors import FedsegError
from fedseg.plugins import blaming
from fedseg.registry import LOSSES, STUDENT_LOSSES, Registry

SOFTEST = 1.02
"""What bounds the weight of a rare class: at 1 / ln(1.02), 50."""


class Loss(Protocol):
    """Loss of a supervised training: a function, or an object that can be called.

    It is pickled where several GPUs share a training.
    """

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            logits: float32 [N, C, H, W].
            labels: uint8 [N, H, W], trainIds, 255 ignored; all may be 255.
            weights: float32 [C], how much a pixel of each class counts if rare classes are to count
                more, as `class_weights` gives them; on the CPU.

        Returns:
            A scalar: a mean over the labelled pixels.
        """
        ...


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the labelled pixels of a batch; 0 where there are none.

    Args:
        logits: float32 [N, C, H, W].
        labels: uint8 [N, H, W], trainIds, 255 ignored.
        weights: not used.
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


def labelled(labels: Tensor) -> Tensor:
    """How many pixels of uint8 [N, H, W] have a label."""
    return (labels != IGNORE).sum()


def loss_of(name: str, pixels: np.ndarray) -> Callable[[Tensor, Tensor], Tensor]:
    """Load a loss, for data with that many pixels of each class.

    Args:
        name: of a loss, or "module:object".
        pixels: int64 [C].

    Raises:
        FedsegError: a plugin that can't be imported.
    """
    loss = partial(load_loss(LOSSES, name), weights=class_weights(pixels))
    return cast(Callable[[Tensor, Tensor], Tensor], loss)


def load_loss(losses: Registry, name: str) -> Callable[..., Tensor]:
    """Load a loss; that of a plugin is checked at each call.

    Args:
        losses: `LOSSES` or `STUDENT_LOSSES`.
        name: of a loss, or "module:object".

    Raises:
        FedsegError: a plugin that can't be imported.
    """
    loss: Callable[..., Tensor] = losses.load(name)
    return loss if losses.is_built_in(name) else partial(_checked, losses.kind, name, loss)


def _checked(
    kind: str, name: str, loss: Callable[..., Tensor], *given: Tensor, **more: Tensor
) -> Tensor:
    """A plugin's loss, or an error that names the plugin."""
    with blaming(kind, name):
        value = loss(*given, **more)
    if not isinstance(value, Tensor) or value.ndim:
        found = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise FedsegError(f"{kind} '{name}': returned {found}; expected a scalar tensor")
    return value


def check_loss(name: str, classes: int) -> None:
    """Try a plugin's loss on a few random pixels, without labels too.

    Args:
        name: of a loss.
        classes: number of classes.

    Raises:
        FedsegError: it can't be imported, fails, or gives no scalar that has a gradient.
    """
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (2, 4, 4), generator=random, dtype=torch.uint8)
    loss = loss_of(name, np.ones(classes, np.int64))
    try_loss(LOSSES, name, loss, classes, labels)
    try_loss(LOSSES, name, loss, classes, torch.full_like(labels, IGNORE), " without labels")


def check_student_loss(name: str, classes: int) -> None:
    """Try a plugin's loss of the student on a few random pixels; as `check_loss` does."""
    target = torch.randn(2, classes, 4, 4, generator=torch.Generator().manual_seed(0))
    loss = load_loss(STUDENT_LOSSES, name)
    try_loss(STUDENT_LOSSES, name, loss, classes, target.softmax(dim=1))


def try_loss(
    losses: Registry,
    name: str,
    loss: Callable[[Tensor, Tensor], Tensor],
    classes: int,
    target: Tensor,
    what: str = "",
) -> None:
    """See that a plugin's loss of random logits is finite and has a gradient.

    Args:
        losses: `LOSSES` or `STUDENT_LOSSES`.
        name: of the loss; one that is built in is not tried.
        loss: of logits float32 [2, C, 4, 4] and the target.
        classes: C.
        target: of four by four pixels of two images.
        what: the pixels are, for the error.
    """
    if losses.is_built_in(name):
        return
    random = torch.Generator().manual_seed(1)
    value = loss(torch.randn(2, classes, 4, 4, generator=random, requires_grad=True), target)
    if not value.requires_grad or not torch.isfinite(value):
        gradient = "" if value.requires_grad else " without a gradient"
        raise FedsegError(
            f"{losses.kind} '{name}': gave {value.item():g}{gradient} for random pixels{what}; "
            "expected a finite scalar that depends on the logits"
        )
