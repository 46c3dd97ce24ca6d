"""[training]: how a model is trained; and the privacy of a client's training."""

from typing import Annotated

from pydantic import (
    Field,
    model_validator,
)

from fedseg.config.names import Fraction, Precision, choices, one_of
from fedseg.registry import (
    LOSSES,
    TRAINERS,
)
from fedseg.settings import Section

LossName = Annotated[str, one_of(LOSSES), choices(LOSSES)]

SUPERVISED, PRIVATE = "supervised", "private"
"""Names of trainers."""
TrainerName = Annotated[str, one_of(TRAINERS), choices(TRAINERS)]


class Training(Section):
    """How a model is trained."""

    iterations: int = Field(2000, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(8, ge=2)
    """Images a step; at least 2, because batch normalisation needs more than one."""
    learning_rate: float = Field(1e-3, gt=0)
    """AdamW's highest learning rate: it rises from 0 over the first tenth of the iterations, and
    falls to 0 along half a cosine."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    crop: tuple[int, int] = (192, 256)
    """Height and width in pixels of the training crop; multiples of the model's stride."""
    scale: tuple[Fraction, Fraction] = (0.25, 1.0)
    """Smallest and largest part of an image's area that a crop shows."""
    inference_height: int | None = Field(None, ge=32, le=8192)
    """Height in pixels that whole images are resized to for inference; default: 1.25 crops."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass. "auto" is bfloat16 on a GPU that has it, float16 with a
    scaled loss on another, and float32 on the CPU."""
    threads: int = Field(2, ge=1)
    """Threads that read and augment images ahead of the optimiser."""

    @model_validator(mode="after")
    def _ordered(self) -> "Training":
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale: the first number must not exceed the second")
        return self


class SupervisedTraining(Training):
    """How a model is trained on labels: that of a client, or a centralized one."""

    loss: LossName = "cross_entropy"
    """Loss of clients and centralized training: "cross_entropy", or a "module:object" of your own.
    The distillation has a loss of its own."""


class Privacy(Section):
    """Differential privacy of a client's training (DP-SGD); needs the extra `privacy`."""

    epsilon: float = Field(gt=0, le=10**4)
    """The most that the training may cost; the noise follows from it. Below 1 is strong, above 10
    weak."""
    delta: float = Field(1e-5, gt=0, lt=1)
    """Probability of a worse leak; must be below 1 / number of images."""
    max_grad_norm: float = Field(1.0, gt=0)
    """L2 norm that each image's gradient is clipped to."""
