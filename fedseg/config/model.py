"""[model]: the network that is trained, and how much of it."""

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    model_serializer,
)

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.settings import Section

MOST_CHANNELS = 4096
"""Of a decoder's layer."""


def _modest(value: Any) -> Any:
    """See that a decoder's setting asks for no more memory than any decoder needs."""
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) > 8 or any(isinstance(n, int) and n > MOST_CHANNELS for n in numbers):
        raise ValueError(f"at most 8 numbers, none above {MOST_CHANNELS}")
    if any(isinstance(n, int | float) and n < 0 for n in numbers):
        raise ValueError("no number is negative")
    return value


EncoderKey = Literal[
    "drop_rate",
    "drop_path_rate",
    "attn_drop_rate",
    "proj_drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
]

Probability = Annotated[float, Field(ge=0, lt=1)]

DecoderKey = Annotated[str, Field(pattern=r"^[a-z][a-z_]*$", max_length=40)]

DecoderValue = Annotated[
    StrictBool | int | float | Annotated[str, Field(max_length=20)] | tuple[int, ...],
    AfterValidator(_modest),
]

LayerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$", max_length=80)]

NETWORK = {"arch", "encoder", "encoder_kwargs", "decoder", "norm", "classes"}
"""What of a `Model` says which network it is."""


def without_default_classes(classes: ClassList, content: dict[str, Any]) -> dict[str, Any]:
    """Drop the class list from a table where it is the default, Cityscapes' classes."""
    return {k: v for k, v in content.items() if k != "classes" or classes != CITYSCAPES}


class Model(Section):
    """What is trained."""

    arch: str = "fpn"
    """Any segmentation-models-pytorch architecture: "fpn", "unet", "deeplabv3plus", ..."""
    encoder: str = "tu-tf_efficientnet_lite0"
    """Any of its encoders; "tu-NAME" is timm's NAME."""
    encoder_weights: str = "imagenet"
    """
    "imagenet" (downloaded; for tu-tf_efficientnet_lite0 part of fedseg), "none", the path of a
    local .safetensors file, or "hf://OWNER/NAME[@REVISION]", whose model.safetensors is downloaded.
    """
    encoder_kwargs: dict[EncoderKey, Probability] = Field({}, max_length=len(get_args(EncoderKey)))
    """Probabilities of dropout in one of timm's encoders, as `{ drop_path_rate = 0.1 }`."""
    decoder: dict[DecoderKey, DecoderValue] = Field({}, max_length=10)
    """The decoder's settings: segmentation-models-pytorch's arguments `decoder_*` without that
    prefix, as `{ channels = 128 }`."""
    norm: Literal["batch", "group"] = "batch"
    """"group" replaces each batch normalisation by group normalisation; private training needs it,
    and chooses it by itself."""
    train: Literal["all", "decoder", "lora"] = "all"
    """What is trained, and so what a client sends: all; the decoder, with the encoder frozen; or
    the decoder, the encoder's normalisations and low-rank adapters of its attention (LoRA, arXiv
    2106.09685), which need fedseg[lora]."""
    lora_rank: int = Field(8, ge=1, le=256)
    """Rank of the adapters."""
    lora_targets: tuple[LayerName, ...] = Field((), max_length=16)
    """Layers of the encoder that get adapters, by the end of their names, as ["qkv", "fc1"];
    default: the linear layers of its attention."""
    classes: ClassList = CITYSCAPES
    """The federation's [classes]; not given here."""

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Cityscapes' classes need no word."""
        return without_default_classes(self.classes, handler(self))

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @property
    def plain(self) -> "Model":
        """The same network, whatever its weights are and whatever of it is trained."""
        return Model(**self.network, encoder_weights="none")

    @property
    def network(self) -> dict[str, Any]:
        """The settings that say which network it is."""
        return {key: getattr(self, key) for key in NETWORK}
