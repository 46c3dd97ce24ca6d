"""[training]: how a model is trained; and the privacy of a client's training."""

from typing import Annotated, Literal

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

TrainerName = Annotated[str, one_of(TRAINERS), choices(TRAINERS)]


class Training(Section):
    """How a model is trained."""

    iterations: int = Field(2000, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(8, ge=2)
    """Images a step; at least 2, because batch normalisation needs more than one."""
    learning_rate: float = Field(1e-3, gt=0)
    """AdamW's highest learning rate: reached by the warm-up, it falls to 0 by the schedule."""
    encoder_learning_rate: float = Field(1.0, gt=0)
    """Of the encoder, as a multiple of `learning_rate`."""
    schedule: Literal["cosine", "poly"] = "cosine"
    """How the learning rate falls: along half a cosine, or as (1 - part done)^0.9."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    decay_vectors: bool = True
    """Whether it also applies to biases and the parameters of normalisations."""
    loss: LossName = "cross_entropy"
    """Of clients and centralized training: "weighted" is the cross-entropy in which rare classes
    count more, "ohem" that of the hard pixels alone; "dice" and "lovasz" are added to that of
    all; or a "module:object" of your own."""
    max_grad_norm: float | None = Field(None, gt=0)
    """L2 norm that the gradient of a step is clipped to; default: not clipped."""
    accumulation: int = Field(1, ge=1)
    """Parts that a batch is shown in, one after another, which takes as much less GPU memory. Each
    needs two images at least, and counts alike."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of a moving average of the weights, as 0.999, which is then the trained model."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Part of the iterations over which the learning rate rises linearly from 0."""
    crop: tuple[int, int] = (192, 256)
    """Height and width in pixels of the training crop; multiples of the model's stride."""
    scale: tuple[Fraction, Fraction] = (0.25, 1.0)
    """Smallest and largest part of an image's area that a crop shows."""
    inference_height: int | None = Field(None, ge=32, le=8192)
    """Height in pixels that whole images are resized to for inference; default: 1.25 crops."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass. "auto" is bfloat16 on a GPU that has it, float16 with a
    scaled loss on another, and float32 on the CPU."""
    compile: bool = False
    """Whether torch.compile prepares the model. The first step then takes minutes, and the others
    less time, most of all on a GPU. It needs a C++ compiler."""
    rare_class_temperature: float = Field(0.05, gt=0)
    """Rare-class sampling: the lower, the more often images with rare classes are drawn."""
    threads: int = Field(2, ge=1)
    """Threads that read and augment images ahead of the optimiser."""

    @model_validator(mode="after")
    def _ordered(self) -> "Training":
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale: the first number must not exceed the second")
        if self.batch_size % self.accumulation or self.batch_size < 2 * self.accumulation:
            raise ValueError(
                "accumulation: batch_size must be a multiple of it, and give each part two images"
            )
        return self


class Privacy(Section):
    """Differential privacy of a client's training (DP-SGD); needs the extra `privacy`."""

    epsilon: float = Field(gt=0, le=10**4)
    """The most that the training may cost; the noise follows from it. Below 1 is strong, above 10
    weak."""
    delta: float = Field(1e-5, gt=0, lt=1)
    """Probability of a worse leak; must be below 1 / number of images."""
    max_grad_norm: float = Field(1.0, gt=0)
    """L2 norm that each image's gradient is clipped to."""
