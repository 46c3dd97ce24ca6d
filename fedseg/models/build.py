"""Models by name: any of segmentation-models-pytorch, and those of `huggingface`."""

import gc
import inspect
import math
from collections.abc import Mapping
from contextlib import nullcontext
from functools import lru_cache
from pkgutil import resolve_name
from typing import Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from fedseg.classes import ClassList
from fedseg.config import Model
from fedseg.errors import FedsegError, ModelError, did_you_mean, first_line
from fedseg.extras.huggingface import FAMILIES, build_huggingface
from fedseg.files import refuse_full_disk
from fedseg.machine import trim_memory
from fedseg.models.any_size import any_size
from fedseg.models.encoder_weights import (
    fetch_timm_weights,
    load_encoder,
    shipped_weights,
    weights_file,
)
from fedseg.models.hub import quick_hub
from fedseg.models.info import COARSEST, Normalisation
from fedseg.models.libraries import smp
from fedseg.models.names import ARCHITECTURES, check_names
from fedseg.storage.hashes import file_hashes

WITHOUT_NETWORK = (
    "; without a network, set encoder_weights to 'none' or to a .safetensors file of the encoder's "
    "weights, under timm's or SMP's names; or take the encoder tu-tf_efficientnet_lite0, whose "
    "weights come with fedseg"
)
MOST_GROUPS = 32
"""Of a group normalisation: Wu and He, arXiv 1803.08494, section 4.1."""
PREFIX = "decoder_"
"""Of SMP's arguments for a decoder."""
SEVERAL_KINDS = ("use_norm", "attention_type")
"""Settings that may be of another kind than their default."""
STEPS = (32, 64, 128, 224, 256, 384)
"""Multiples of which sizes are tried where a model does not take one."""


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def best_device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def free_memory() -> None:
    """Give back the memory of models that are no longer referred to, the GPU's above all."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim_memory()


def build(model: Model) -> nn.Module:
    """Make a model for its class list.

    Returns:
        A module from float [N, 3, H, W], normalised, to logits [N, C, H, W], channels last.

    Raises:
        FedsegError: an unknown name, weights that can't be had, or a combination that is refused.
    """
    check_names(model.arch, model.encoder)
    network = build_huggingface(model) if model.arch in FAMILIES else _build_smp(model)
    if model.norm == "group":
        replace_batch_norms(network)
    return network.to(memory_format=torch.channels_last)


def _build_smp(model: Model) -> nn.Module:
    if model.encoder_kwargs and not model.encoder.startswith("tu-"):
        raise FedsegError(
            f"encoder_kwargs: only timm's encoders, tu-NAME, take them, not {model.encoder}"
        )
    imagenet = model.encoder_weights == "imagenet"
    is_timm = model.encoder.startswith("tu-")
    shipped = shipped_weights(model.encoder) if imagenet else None
    asks_hub = imagenet and not shipped
    try:
        with quick_hub() if asks_hub else nullcontext():
            network = resolve_name(ARCHITECTURES[model.arch])(
                encoder_name=model.encoder,
                # timm's own loading falls back to pickled files, so its weights are loaded below.
                encoder_weights="imagenet" if imagenet and not is_timm else None,
                classes=len(model.classes),
                **decoder_settings(model),
                **any_size(model.encoder),
                **model.encoder_kwargs,
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
    network: Any = resolve_name(ARCHITECTURES[model.arch])
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


def replace_batch_norms(module: nn.Module) -> None:
    """Replace each batch normalisation in a module by group normalisation, of the same weights.

    What timm fuses with a normalisation, its activation, follows it.
    """
    for name, child in module.named_children():
        if not isinstance(child, nn.modules.batchnorm._BatchNorm):
            replace_batch_norms(child)
            continue
        groups = math.gcd(child.num_features, MOST_GROUPS)
        norm = nn.GroupNorm(groups, child.num_features, child.eps, child.affine)
        if child.affine:
            norm.load_state_dict({"weight": child.weight.data, "bias": child.bias.data})
        following = [getattr(child, part) for part in ("drop", "act") if hasattr(child, part)]
        setattr(module, name, nn.Sequential(norm, *following) if following else norm)


class _ReadableSpacing(TorchFunctionMode):
    """Keeps `torch.linspace` off the meta device: SegFormer's encoder reads its drop rates."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        return func(*args, **({"device": "cpu", **given} if func is torch.linspace else given))


def outline(model: Model) -> nn.Module:
    """`build`, of tensors that take no memory: to put weights into.

    Raises:
        FedsegError: as `build` does. A model of which there is no outline is never built instead:
            others choose its size.
    """
    with torch.device("meta"), _ReadableSpacing():
        return build(model)


@lru_cache(maxsize=64)
def state_outline(model: Model) -> Mapping[str, torch.Tensor]:
    """The state dict of a model's `outline`."""
    return outline(model.plain).state_dict()


def seeded_build(model: Model, seed: int) -> nn.Module:
    """`build`, with the same random weights for the same seed."""
    torch.manual_seed(seed)
    return build(model)


def normalisation(model: Model) -> Normalisation:
    """What the encoder's weights expect of their input; ImageNet's statistics where none are."""
    if not model.encoder.startswith("tu-") and model.encoder_weights != "imagenet":
        return IMAGENET
    return _published_normalisation(model.encoder)


@lru_cache(maxsize=64)  # SMP asks the hub
def _published_normalisation(encoder: str) -> Normalisation:
    try:
        with nullcontext() if encoder.startswith("tu-") else quick_hub():
            params = smp.encoders.get_preprocessing_params(encoder)
    except ValueError:  # timm has no pretrained weights under this name
        return IMAGENET
    except Exception as error:  # whatever the hub's client raises
        refuse_full_disk(error, f"normalisation of encoder {encoder}")
        raise FedsegError(
            f"what encoder {encoder} expects of its input can't be had: {first_line(error)}"
            f"{WITHOUT_NETWORK}"
        ) from error
    top = (params.get("input_range") or [0, 1])[1]
    mean, std = (tuple(float(v) / top for v in params[key]) for key in ("mean", "std"))
    return Normalisation(mean, std)


def model_inputs(model: Model) -> dict[str, str]:
    """What an untrained model is made from: names, and the content of a file of encoder weights."""
    inputs = model.model_dump(mode="json")
    if model.encoder_weights not in ("imagenet", "none"):
        [inputs["encoder_weights"]] = file_hashes([weights_file(model.encoder_weights)])
    return inputs


@lru_cache(maxsize=64)
def stride(model: Model) -> int:
    """Pixels of which the sides of images must be multiples, so that a model's features align.

    Args:
        model: which, whatever its weights are.

    Returns:
        8, 16 or 32.

    Raises:
        FedsegError: the model can't be built.
    """
    if model.arch in FAMILIES:
        return FAMILIES[model.arch].stride
    network = outline(model.plain)
    finest = cast(int, cast(nn.Module, network.encoder).output_stride)
    for step in (8, 16):  # odd multiples: a decoder may double what its encoder halved
        if step >= finest and _fits(network, (5 * step, 7 * step), model.classes):
            return step
    return COARSEST


@lru_cache(maxsize=256)
def check_size(model: Model, size: tuple[int, int], batch: int = 0) -> None:
    """See that a model takes images of a size.

    It is tried without memory or arithmetic, on torch's meta device, and only if that fails with
    real numbers: some encoders compute with values.

    Args:
        model: which.
        size: height and width in pixels.
        batch: images a step if it shall be trained at that size; 0: for inference.

    Raises:
        FedsegError: it does not take them; with the words of SMP or timm, and sizes that it takes.
    """
    untrained = model.plain
    try:
        _forward(outline(untrained), size, batch, untrained.classes)
    except FedsegError:
        raise
    except Exception:  # a model may raise anything, for its size or for the meta device
        try:
            _forward(build(untrained), size, batch, untrained.classes)
        except Exception as error:
            how = "be trained on" if batch else "take"
            others = " and ".join(f"{rows}x{columns}" for rows, columns in _near(untrained, size))
            nearest = f"; it takes {others}" if others else ""
            raise ModelError(
                f"{model.arch} with encoder {model.encoder} can't {how} images of "
                f"{size[0]}x{size[1]} (height x width): {first_line(error)}{nearest}"
            ) from None


def _near(model: Model, size: tuple[int, int]) -> list[tuple[int, int]]:
    """The nearest sizes that a model takes, one not above and one not below; for inference."""
    found: dict[str, tuple[int, int]] = {}
    network = outline(model)
    for step in STEPS:
        for kind, up in (("below", 0), ("above", step - 1)):
            rows, columns = ((side + up) // step * step or step for side in size)
            if (
                kind not in found
                and (rows, columns) != size
                and _fits(network, (rows, columns), model.classes)
            ):
                found[kind] = rows, columns
    return list(dict.fromkeys(found.values()))


def _fits(network: nn.Module, size: tuple[int, int], classes: ClassList) -> bool:
    try:
        _forward(network, size, 0, classes)
    except Exception:  # a model may raise anything for its size
        return False
    return True


def _forward(network: nn.Module, size: tuple[int, int], batch: int, classes: ClassList) -> None:
    device = next(network.parameters()).device
    images = torch.zeros(max(batch, 1), 3, *size, device=device)
    with torch.no_grad():
        output = network.train(batch > 0)(images.to(memory_format=torch.channels_last))
    if output.shape != (len(images), len(classes), *size):
        found = "x".join(map(str, output.shape[2:]))
        raise ValueError(f"its output is {found}; sizes must be multiples of its stride")
