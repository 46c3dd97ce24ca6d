"""[server.distillation] and [server.augmentation]: how the global model is made."""

from typing import Annotated

from pydantic import (
    Field,
    model_validator,
)

from fedseg.classes import MOST_CLASSES
from fedseg.config.names import choices, one_of
from fedseg.config.training import Training
from fedseg.registry import (
    FUSION_RULES,
    GENERATORS,
)
from fedseg.settings import Section

GeneratorName = Annotated[str, one_of(GENERATORS, "none"), choices(GENERATORS, "none")]

FusionName = Annotated[str, one_of(FUSION_RULES), choices(FUSION_RULES)]


class Distillation(Training):
    """How the global model is distilled. Defaults come from [training]."""

    temperature: float = Field(0.5, gt=0)
    """Of the targets: below 1 sharpens what the clients say, above 1 softens it."""
    rounds: int = Field(1, ge=1)
    """How often targets are made; from the second time on, the student so far is half of them. The
    iterations are shared among the rounds."""
    class_balance: float = Field(0.7, ge=0, le=1)
    """How far the targets undo the rarity of rare classes; 0 not at all, 1 entirely."""
    class_mix: float = Field(0.0, ge=0, le=1)
    """How often half of the classes of another view are pasted onto a view (ClassMix)."""
    fusion: FusionName = "mean"
    """"mean" of what the clients predict; "features" also asks a gate over the clients' features,
    which is learnt on the server's images; or a "module:object" of your own."""
    feature_weight: float = Field(0.0, ge=0)
    """Of the loss by which the student's features follow the fused ones, fusion = "features"."""

    @model_validator(mode="after")
    def _fits(self) -> "Distillation":
        if self.loss != "cross_entropy":
            raise ValueError("loss: that of the distillation is the cross-entropy to its targets")
        if self.feature_weight and self.fusion != "features":
            raise ValueError("feature_weight: fused features need fusion = 'features'")
        return self


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
    model: str | None = None
    """For "diffusion": a Stable Diffusion checkpoint in safetensors, by its name on the Hugging
    Face hub, or a folder; a folder's path begins with ".", "/" or "~"."""
    steps: int = Field(30, ge=1)
    """For "diffusion": denoising steps an image."""
    batch_size: int = Field(4, ge=1)
    """For "diffusion": whole images that are painted at once."""
    size: tuple[int, int] | None = None
    """For "diffusion": height and width in pixels at which is painted, multiples of 64. Default:
    near what the checkpoint was trained at, [512, 768], and [832, 1216] for XL and 3."""

    @model_validator(mode="after")
    def _complete(self) -> "Augmentation":
        if self.generator == "diffusion" and not self.model:
            raise ValueError("model: generator = 'diffusion' needs one; name a checkpoint")
        if any(side < 64 or side % 64 for side in self.size or ()):
            raise ValueError("size: height and width must be multiples of 64")
        return self
