"""[model]: the network that is trained, and how much of it."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    ValidationInfo,
)
from pydantic.json_schema import SkipJsonSchema

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.settings import Section

MOST_CHANNELS = 4096
"""Channels of a decoder's layer, at most."""


def _modest(value: Any) -> Any:
    """See that a decoder's setting asks for no more memory than any decoder needs."""
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) > 8 or any(isinstance(n, int) and n > MOST_CHANNELS for n in numbers):
        raise ValueError(f"at most 8 numbers, none above {MOST_CHANNELS}")
    if any(isinstance(n, int | float) and n < 0 for n in numbers):
        raise ValueError("no number is negative")
    return value


DecoderKey = Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=40)]

DecoderValue = Annotated[
    StrictBool | int | float | Annotated[str, Field(max_length=20)] | tuple[int, ...],
    AfterValidator(_modest),
]

NETWORK = {"arch", "encoder", "decoder", "norm", "classes"}
"""Keys of a `Model` that say which network it is."""
DERIVED = ("norm", "classes")
"""Keys of a `Model` that are not in files."""


class Model(Section):
    """The network, and how much of it is trained."""

    arch: str = "fpn"
    """Any segmentation-models-pytorch architecture: "fpn", "unet", "deeplabv3plus", ...; or a
    "module:object" of your own."""
    encoder: str = "tu-tf_efficientnet_lite0"
    """Any of its encoders; "tu-NAME" is timm's NAME."""
    encoder_weights: str = "imagenet"
    """
    "imagenet" (downloaded; for tu-tf_efficientnet_lite0 part of fedseg), "none", the path of a
    local .safetensors file, or "hf://OWNER/NAME[@REVISION]", whose model.safetensors is downloaded.
    """
    decoder: dict[DecoderKey, DecoderValue] = Field({}, max_length=10)
    """The decoder's settings: segmentation-models-pytorch's arguments `decoder_*` without that
    prefix, as `{ channels = 128 }`."""
    train: Literal["all", "decoder", "lora"] = "all"
    """What is trained, and so what a client sends: all; the decoder, with the encoder frozen; or
    the decoder, the encoder's normalisations and low-rank adapters of its attention (LoRA, arXiv
    2106.09685), which need fedseg[lora]."""
    norm: SkipJsonSchema[Literal["batch", "group"]] = Field("batch", exclude=True)
    """"group" where training is private: each batch normalisation is replaced."""
    classes: SkipJsonSchema[ClassList] = Field(CITYSCAPES, exclude=True)
    """The federation's [classes]."""

    def __hash__(self) -> int:
        return hash((self.model_dump_json(), self.norm, self.classes.names))

    @property
    def plain(self) -> "Model":
        """The same network, whatever its weights are and whatever of it is trained."""
        return Model(**self.network, encoder_weights="none")

    @property
    def network(self) -> dict[str, Any]:
        """The settings that say which network it is."""
        return {key: getattr(self, key) for key in NETWORK}


def complete_model(model: Model, info: ValidationInfo) -> Model:
    """Validate a field that follows `classes`: the model is for that class list."""
    return model.model_copy(update={"classes": info.data.get("classes", CITYSCAPES)})


CompleteModel = Annotated[Model, AfterValidator(complete_model)]
"""A model for the class list in the field `classes` before it."""
