"""[server.distillation] and [server.augmentation]: how the global model is made."""

from typing import Annotated, Literal

from pydantic import (
    Field,
)

from fedseg.classes import MOST_CLASSES
from fedseg.config.names import choices, one_of
from fedseg.config.training import Training
from fedseg.registry import (
    FUSION_RULES,
    GENERATORS,
    STUDENT_LOSSES,
)
from fedseg.settings import Section

StudentLossName = Annotated[str, one_of(STUDENT_LOSSES), choices(STUDENT_LOSSES)]
GeneratorName = Annotated[str, one_of(GENERATORS, "none"), choices(GENERATORS, "none")]

FusionName = Annotated[str, one_of(FUSION_RULES), choices(FUSION_RULES)]


OptionName = Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=40)]
OptionValue = bool | int | float | str | list[int] | list[float] | list[str]


class Distillation(Section):
    """How the global model is distilled."""

    training: Training = Training()
    """Overrides [training] for the global model."""
    temperature: float = Field(0.5, gt=0)
    """Temperature of the targets: below 1 sharpens what the clients say, above 1 softens it."""
    class_balance: float = Field(0.7, ge=0, le=1)
    """How far the targets undo the rarity of rare classes; 0 not at all, 1 entirely."""
    fusion: FusionName = "mean"
    """"mean" of what the clients predict; "features" also asks a gate over the clients' features,
    which is learnt on the server's images, and the student learns the fused features too; or a
    "module:object" of your own."""
    votes: Literal["equal", "consistency"] = "equal"
    """How much each client's vote counts: "equal", or by its "consistency" with itself on changed
    copies of the server's images."""
    loss: StudentLossName = "cross_entropy"
    """Loss of the student: the cross-entropy to its targets, or a "module:object" of your own."""


class Augmentation(Section):
    """More images of the classes that the clients disagree on."""

    generator: GeneratorName = "none"
    """"mix" pastes regions that clients see into other images of the server's; "streetsim"
    renders new streets; "diffusion" paints new images, and new regions into the server's, and needs
    fedseg[diffusion]; or a "module:object" of your own."""
    images: int = Field(200, ge=1)
    """How many images to make."""
    unstable_classes: int = Field(5, ge=1, le=MOST_CLASSES)
    """How many of the classes the clients disagree on most count as unstable."""
    options: dict[OptionName, OptionValue] = Field({}, max_length=20)
    """Settings of the generator; docs/method.md lists those of "diffusion"."""
