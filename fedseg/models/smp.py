"""Models of segmentation-models-pytorch, with its own encoders and timm's."""

import inspect
from contextlib import nullcontext
from typing import Any

from torch import nn

from fedseg.config import Model
from fedseg.errors import FedsegError, did_you_mean, first_line
from fedseg.files import refuse_full_disk
from fedseg.models.any_size import any_size
from fedseg.models.encoder_weights import (
    fetch_timm_weights,
    load_encoder,
    shipped_weights,
    weights_file,
)
from fedseg.models.hub import quick_hub
from fedseg.models.libraries import smp

WITHOUT_NETWORK = (
    "; without a network, set encoder_weights to 'none' or to a .safetensors file of the encoder's "
    "weights, under timm's or SMP's names; or take the encoder tu-tf_efficientnet_lite0, whose "
    "weights come with fedseg"
)
PREFIX = "decoder_"
"""Of SMP's arguments for a decoder."""
SEVERAL_KINDS = ("use_norm", "attention_type")
"""Settings that may be of another kind than their default."""


def build(model: Model, classes: int) -> nn.Module:
    """Make a model of segmentation-models-pytorch.

    Args:
        model: which, and the weights of its encoder.
        classes: number of output channels.

    Raises:
        FedsegError: weights that can't be had, or a combination that SMP or timm refuses.
    """
    imagenet = model.encoder_weights == "imagenet"
    is_timm = model.encoder.startswith("tu-")
    shipped = shipped_weights(model.encoder) if imagenet else None
    asks_hub = imagenet and not shipped
    try:
        with quick_hub() if asks_hub else nullcontext():
            network = smp.MODEL_ARCHITECTURES_MAPPING[model.arch](
                encoder_name=model.encoder,
                # timm's own loading falls back to pickled files, so its weights are loaded below.
                encoder_weights="imagenet" if imagenet and not is_timm else None,
                classes=classes,
                **decoder_settings(model),
                **any_size(model.encoder),
            )
            published = fetch_timm_weights(model.encoder) if asks_hub and is_timm else shipped
    except Exception as error:  # whatever SMP, timm or the hub's client raise, in their own words
        refuse_full_disk(error, f"weights of encoder {model.encoder}")
        hint = WITHOUT_NETWORK if asks_hub else ""
        raise FedsegError(
            f"{model.arch} with encoder {model.encoder} can't be built: {first_line(error)}{hint}"
        ) from error
    if published:
        load_encoder(network.encoder, published)
    elif not imagenet and model.encoder_weights != "none":
        load_encoder(network.encoder, weights_file(model.encoder_weights))
    return network


def decoder_settings(model: Model) -> dict[str, Any]:
    """The decoder's settings as SMP's arguments.

    Raises:
        FedsegError: the architecture has no such setting.
    """
    network: Any = smp.MODEL_ARCHITECTURES_MAPPING[model.arch]
    arguments = inspect.signature(network.__init__).parameters
    known = [name.removeprefix(PREFIX) for name in arguments if name.startswith(PREFIX)]
    for name, value in model.decoder.items():
        if name not in known:
            raise FedsegError(
                f"decoder: {model.arch} has no setting '{name}'; {did_you_mean(name, known)}"
            )
        default = arguments[f"{PREFIX}{name}"].default
        if name not in SEVERAL_KINDS and _kind(value) != _kind(default):
            raise FedsegError(f"decoder: {name} must be {_kind(default)}, as {default!r}")
    return {f"{PREFIX}{name}": value for name, value in model.decoder.items()}


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
    return "a list of numbers"
