"""Models: any architecture and encoder of segmentation-models-pytorch, by name."""

from pathlib import Path
from typing import NamedTuple

import segmentation_models_pytorch as smp
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from segmentation_models_pytorch.encoders import get_encoder_names, get_preprocessing_params
from torch import nn

from fedseg.classes import NUM_CLASSES
from fedseg.config import Model
from fedseg.errors import FedsegError, did_you_mean, first_line
from fedseg.hashes import file_hashes

ARCHITECTURES = smp.MODEL_ARCHITECTURES_MAPPING
"""The allow-list: no other code is ever run for a model that came from somebody else."""


class Normalisation(NamedTuple):
    """Mean and standard deviation of R, G and B, of pixel values in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def best_device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_names(arch: str, encoder: str) -> None:
    """See that architecture and encoder are on the allow-list.

    Raises:
        FedsegError: with the nearest names.
    """
    if arch not in ARCHITECTURES:
        raise FedsegError(f"no architecture '{arch}'; {did_you_mean(arch, ARCHITECTURES)}")
    if encoder.startswith("tu-"):
        known = [f"tu-{name}" for name in timm.list_models()]
        name = encoder.split(".")[0]  # timm's NAME.TAG: the tag chooses among pretrained weights
    else:
        known, name = get_encoder_names(), encoder
    if name not in known:
        raise FedsegError(f"no encoder '{encoder}'; {did_you_mean(name, known)}")


def build(model: Model) -> nn.Module:
    """Make a model for the 19 classes.

    Returns:
        A module from float [N, 3, H, W], normalised, to logits [N, 19, H, W], channels last.

    Raises:
        FedsegError: an unknown name, weights that can't be had, or a combination that SMP refuses.
    """
    check_names(model.arch, model.encoder)
    imagenet = model.encoder_weights == "imagenet"
    try:
        network = smp.create_model(
            model.arch,
            encoder_name=model.encoder,
            encoder_weights="imagenet" if imagenet else None,
            classes=NUM_CLASSES,
        )
    except Exception as error:  # whatever SMP, timm or the hub's client raise, in their own words
        hint = "; without a network, use encoder_weights = 'none' or a file" if imagenet else ""
        raise FedsegError(
            f"{model.arch} with encoder {model.encoder} can't be built: {first_line(error)}{hint}"
        ) from error
    if not imagenet and model.encoder_weights != "none":
        _load_encoder(network, Path(model.encoder_weights))
    return network.to(memory_format=torch.channels_last)


def outline(model: Model) -> nn.Module:
    """`build`, of tensors that take no memory: to put weights into."""
    try:
        with torch.device("meta"):
            return build(model)
    except FedsegError:  # a few encoders compute with tensors while they are made
        return build(model)


def seeded_build(model: Model, seed: int) -> nn.Module:
    """`build`, with the same random weights for the same seed."""
    torch.manual_seed(seed)
    return build(model)


def _load_encoder(network: nn.Module, path: Path) -> None:
    """Load encoder weights from a safetensors file, under SMP's or timm's names."""
    if not path.is_file():
        raise FedsegError(f"encoder_weights: {path}: no such file")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise FedsegError(f"encoder_weights: {path}: not a safetensors file: {error}") from None
    encoder = network.encoder
    wanted = encoder.state_dict()
    # SMP keeps a timm encoder as `encoder.model`; timm's own names lack that prefix.
    if not wanted.keys() & weights.keys():
        weights = {f"model.{key}": value for key, value in weights.items()}
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = wanted.keys() - weights.keys() - counters
    misshapen = [k for k in wanted.keys() & weights.keys() if wanted[k].shape != weights[k].shape]
    if missing or misshapen:
        example = sorted(missing or misshapen)[0]
        raise FedsegError(
            f"encoder_weights: {path}: not the weights of this encoder: {len(missing)} tensors "
            f"missing, {len(misshapen)} of another shape, '{example}' for one"
        )
    # Classification heads and the like, which a segmentation encoder has no use for, stay out.
    encoder.load_state_dict({k: v for k, v in weights.items() if k in wanted}, strict=False)


def normalisation(model: Model) -> Normalisation:
    """What the encoder's weights expect of their input; ImageNet's statistics where none are."""
    if not model.encoder.startswith("tu-") and model.encoder_weights != "imagenet":
        return IMAGENET
    try:
        params = get_preprocessing_params(model.encoder)
    except ValueError:  # timm has no pretrained weights under this name
        return IMAGENET
    top = (params.get("input_range") or [0, 1])[1]
    mean, std = (tuple(float(v) / top for v in params[key]) for key in ("mean", "std"))
    return Normalisation(mean, std)


def model_inputs(model: Model) -> dict[str, str]:
    """What an untrained model is made from: names, and the content of a file of encoder weights."""
    inputs = model.model_dump(mode="json")
    if model.encoder_weights not in ("imagenet", "none"):
        [inputs["encoder_weights"]] = file_hashes([Path(model.encoder_weights)])
    return inputs


def check_size(network: nn.Module, size: tuple[int, int]) -> None:
    """See that the model takes images of that height and width.

    Raises:
        FedsegError: with SMP's own words, which name the nearest size.
    """
    network.eval()
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, *size).to(memory_format=torch.channels_last))
    except (RuntimeError, ValueError) as error:
        raise FedsegError(
            f"the model can't take images of {size[0]}x{size[1]} (height x width): "
            f"{first_line(error)}"
        ) from None
