"""Models by name, and what is known of one before it is trained: stride, sizes, normalisation."""

import gc
import math
from collections.abc import Mapping
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fedseg.classes import ClassList
from fedseg.config import Model
from fedseg.errors import FedsegError, ModelError, first_line
from fedseg.files import refuse_full_disk
from fedseg.machine import trim_memory
from fedseg.models.encoder_weights import weights_file
from fedseg.models.hub import quick_hub
from fedseg.models.info import COARSEST, Normalisation
from fedseg.models.libraries import smp
from fedseg.models.names import check_names
from fedseg.models.smp import WITHOUT_NETWORK
from fedseg.plugins import blame_plugin
from fedseg.registry import MODELS, SMP_MODELS
from fedseg.storage.hashes import file_hashes

MOST_GROUPS = 32
"""Groups of a group normalisation: Wu and He, arXiv 1803.08494, section 4.1."""
STRIDES = (4, 8, 16, 32, 64, 128, 256)
"""Strides that a model may have."""
STEPS = (32, 64, 128, 224, 256, 384)
"""Multiples of which sizes are tried where a model does not take one."""


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class ModelBuilder(Protocol):
    """Makes a model: `arch = "module:object"`.

    fedseg uses these attributes of what it returns, where they are there:

    - `stride`, int: pixels of which the sides of images must be multiples; default: 32.
    - `encoder`, nn.Module: what `train = "decoder"` freezes and `train = "lora"` adapts. It must be
      registered under that name.
    - `segmentation_head`, nn.Module: the last layers, whose one input, [N, D, h, w], are the
      features of `fusion = "features"`; the head's first parameter is of shape [., D, ...].
    - `sizes_in_onnx`, bool: False where an ONNX file of it can take one size alone.
    - `save_pretrained(folder)`: writes model.safetensors, with what else makes the folder useful
      to others; default: the state dict alone.
    """

    def __call__(self, spec: Model, classes: int) -> nn.Module:
        """Make an untrained model.

        It is also called, and the model with images, on torch's meta device, where tensors have no
        values. Random weights come from torch's global generator, which is seeded.

        Args:
            spec: `encoder`, any text; `encoder_weights`: "none", or what the model shall start
                from; `decoder`, a table; and `classes`.
            classes: number of classes C.

        Returns:
            A module from float32 [N, 3, H, W], RGB normalised by ImageNet's mean and standard
            deviation, to logits, float [N, C, H, W]; H and W are multiples of its stride.

        Raises:
            FedsegError: it can't be made; the message is shown as it is.
        """


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
        FedsegError: an unknown name, weights that can't be had, a combination that is refused, or
            a plugin that is no model.
    """
    check_names(model.arch, model.encoder)
    builder = MODELS.load(model.arch)
    with blame_plugin("model", model.arch):
        network = builder(model, len(model.classes))
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise FedsegError(f"model '{model.arch}': returned {kind}; expected a torch.nn.Module")
    if next(network.parameters(), None) is None:
        raise FedsegError(f"model '{model.arch}': has no parameters")
    if model.norm == "group":
        replace_batch_norms(network)
    return network.to(memory_format=torch.channels_last)


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


def outline_model(model: Model) -> nn.Module:
    """`build`, of tensors that take no memory: to put weights into.

    Raises:
        FedsegError: as `build` does. A model of which there is no outline is never built instead:
            others choose its size.
    """
    with torch.device("meta"), _ReadableSpacing():
        return build(model)


@lru_cache(maxsize=64)
def state_outline(model: Model) -> Mapping[str, torch.Tensor]:
    """The state dict of a model's `outline_model`."""
    return outline_model(model.plain).state_dict()


def seeded_build(model: Model, seed: int) -> nn.Module:
    """`build`, with the same random weights for the same seed."""
    torch.manual_seed(seed)
    return build(model)


def normalisation(model: Model) -> Normalisation:
    """What the weights of an encoder of SMP's expect of their input; else ImageNet's statistics."""
    is_published = model.encoder.startswith("tu-") or model.encoder_weights == "imagenet"
    if model.arch not in SMP_MODELS or not is_published:
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


def model_inputs(model: Model) -> dict[str, Any]:
    """What an untrained model is made from: names, a file of weights, the source of a plugin."""
    inputs = model.model_dump(mode="json") | MODELS.source(model.arch)
    inputs |= {"norm": model.norm, "classes": model.classes.model_dump(mode="json")}
    if model.encoder_weights not in ("imagenet", "none"):
        [inputs["encoder_weights"]] = file_hashes([weights_file(model.encoder_weights)])
    return inputs


@lru_cache(maxsize=64)
def model_stride(model: Model) -> int:
    """Pixels of which the sides of images must be multiples, so that a model's features align.

    Args:
        model: which, whatever its weights are.

    Returns:
        What the model has as its attribute `stride`; 8, 16 or 32 of a model of SMP's; else 32.

    Raises:
        FedsegError: the model can't be built, or its `stride` is none.
    """
    network = outline_model(model.plain)
    if (own := getattr(network, "stride", None)) is not None:
        if own not in STRIDES:
            known = ", ".join(map(str, STRIDES))
            raise FedsegError(f"model '{model.arch}': stride is {own!r}; expected one of {known}")
        return int(own)
    if model.arch not in SMP_MODELS:
        return COARSEST
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
        _forward(outline_model(untrained), size, batch, untrained.classes)
    except FedsegError:
        raise
    except Exception as unable:  # a model may raise anything, for its size or for the meta device
        try:
            if not MODELS.is_built_in(model.arch):
                raise unable  # its cost, too, is counted on the meta device
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
    network = outline_model(model)
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
    expected = [len(images), len(classes), *size]
    found = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if found != expected and isinstance(found, list) and found[:2] == expected[:2]:
        sides = "x".join(map(str, found[2:]))
        raise ValueError(f"its output is {sides}; sizes must be multiples of its stride")
    if found != expected:
        raise ValueError(f"its output is {found}; expected {expected}")
