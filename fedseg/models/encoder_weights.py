"""Pretrained weights of encoders: safetensors files under SMP's, timm's or torchvision's names.

Nothing is ever unpickled. timm's own loading falls back to `pytorch_model.bin` where the hub or its
cache has no safetensors file, so only the name of the file's repository is taken from timm.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import Tensor, nn

from fedseg.config import Model
from fedseg.errors import FedsegError, first_line
from fedseg.models.any_size import any_size
from fedseg.models.hub import local, quick_hub
from fedseg.models.libraries import smp, timm
from fedseg.models.locations import WEIGHTS, is_local_file
from fedseg.models.prefixes import Names, Renamed, select_weights, without_common_prefix
from fedseg.models.weight_files import WeightFile, announced
from fedseg.registry import SMP_MODELS

Weights = dict[str, Tensor]
Tensors = Mapping[str, Tensor]
"""Weights, or their outlines."""

MOST_COPIES = 20
"""Size of a file that is read as a whole, at most, relative to its encoder: it may hold a model, an
average of it and the optimiser's moments, each with a head."""

SHIPPED = Path(__file__).parent / "pretrained"
"""Weights that come with fedseg, under timm's names; NOTICE beside them says from where."""


@cache  # a branch may move while one works
def weights_file(encoder_weights: str) -> Path:
    """The file of encoder weights that are neither "imagenet" nor "none".

    Args:
        encoder_weights: a path, or `hf://OWNER/NAME[@REVISION]`, which is downloaded.

    Raises:
        FedsegError: the hub does not have it, or can't be reached.
    """
    if is_local_file(encoder_weights):
        return Path(encoder_weights)
    return local(encoder_weights) / WEIGHTS


def weights_source(model: Model) -> str:
    """Where the weights of an encoder are published: `REPOSITORY@COMMIT` on the hub.

    "none" and "file" where they are not; "fedseg" where they come with it. Whatever is downloaded
    for that was downloaded before, when the model was built.
    """
    match model.encoder_weights:
        case "none":
            return "none"
        case "imagenet" if model.arch not in SMP_MODELS:
            return "plugin"
        case "imagenet" if shipped_weights(model.encoder):
            return "fedseg"
        case "imagenet" if model.encoder.startswith("tu-"):
            with quick_hub():
                return _commit_of(fetch_timm_weights(model.encoder))
        case "imagenet":
            published = smp.encoders.encoders[model.encoder]["pretrained_settings"]["imagenet"]
            return f"{published['repo_id']}@{published['revision']}"
    if is_local_file(model.encoder_weights):
        return "file"
    return _commit_of(weights_file(model.encoder_weights))


def _commit_of(path: Path) -> str:
    """A file in the hub's cache, models--OWNER--NAME/snapshots/COMMIT/FILE, as its repository."""
    commit = path.parent
    repository = commit.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
    return f"{repository}@{commit.name}"


def shipped_weights(encoder: str) -> Path | None:
    """The ImageNet weights of an encoder that come with fedseg; None for any other encoder."""
    path = SHIPPED / f"{encoder.removeprefix('tu-').removesuffix('.in1k')}.safetensors"
    return path if encoder.startswith("tu-") and path.is_file() else None


def weights_licence(encoder: str) -> str | None:
    """Licence of an encoder's published weights; None where it is not known.

    Args:
        encoder: a name of segmentation-models-pytorch, or `tu-NAME` of timm's, which names it.
    """
    if encoder.startswith("mit_b"):  # https://github.com/NVlabs/SegFormer, LICENSE
        return "NVIDIA Source Code License, non-commercial"
    if not encoder.startswith("tu-"):
        return None
    published = timm.get_pretrained_cfg(encoder.removeprefix("tu-"))
    return published.license if published else None


def fetch_timm_weights(encoder: str) -> Path:
    """The safetensors file of an encoder's published weights, downloaded or from the hub's cache.

    Args:
        encoder: `tu-NAME` or `tu-NAME.TAG`.

    Raises:
        FedsegError: there is none; the weights may be published as a pickle alone.
    """
    found = timm.get_pretrained_cfg(encoder.removeprefix("tu-"), allow_unregistered=False)
    if found is None or not found.hf_hub_id:
        raise FedsegError("timm names no weights for it on the Hugging Face hub")
    repository, _, revision = found.hf_hub_id.partition("@")
    given = found.hf_hub_filename or "model.safetensors"
    names = dict.fromkeys([str(Path(given).with_suffix(".safetensors")), "model.safetensors"])
    missing: Exception | None = None
    for name in names:
        try:
            return Path(hf_hub_download(repository, filename=name, revision=revision or None))
        except LocalEntryNotFoundError as error:
            raise FedsegError(
                f"{repository} can't be downloaded and is not in the hub's cache "
                f"({first_line(error)})"
            ) from None
        except EntryNotFoundError as error:
            missing = error
    raise FedsegError(
        f"{repository} has no safetensors file, and pickled files are never read"
    ) from missing


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Load the weights of an encoder from a safetensors file.

    The file may use the names of SMP's encoder, of the timm model (which SMP wraps, and timm itself
    flattens to `stages_0` for `stages.0`), or of torchvision's, below any prefix; see
    `select_weights`. What a segmentation encoder has no use for, such as a classification head, is
    left out. Floating point of any width is converted.

    Args:
        encoder: of a segmentation-models-pytorch model; changed in place.
        path: the file.

    Raises:
        FedsegError: no such file, not safetensors, several encoders in it, a tensor is missing, of
            another shape or not finite.
    """
    weights = read_weights(path)
    wanted = encoder.state_dict()
    chosen = _choose(encoder, wanted, weights, path)
    if hasattr(encoder, "name") and _numbers(announced(weights)) <= MOST_COPIES * _numbers(wanted):
        # Released weights may be of an older layout, or of patches or positions of another size,
        # which the family's own module converts.
        for layout in (weights, without_common_prefix(weights)):
            if _fits(encoder, wanted, announced(chosen)):
                break
            converted = _converted(str(encoder.name), layout)
            chosen = _choose(encoder, wanted, converted, path) or chosen
    given = announced(chosen)  # no tensor is read before all are known to fit
    missing = _missing(encoder, wanted, given)
    misshapen = _misshapen(wanted, given)
    if missing or misshapen:
        name = (missing or misshapen)[0]
        example = f"'{name}'"
        if not missing:
            sizes = list(given[name].shape), list(wanted[name].shape)
            example += f", {sizes[0]} where {sizes[1]} is wanted,"
        raise FedsegError(
            f"encoder_weights: {path}: not the weights of this encoder: {len(missing)} of "
            f"{len(wanted)} tensors missing, {len(misshapen)} of another shape, {example} for one"
        )
    read: Weights = {}
    for name, tensor in chosen.items():
        is_float = wanted[name].is_floating_point()
        if tensor.is_floating_point() != is_float:
            raise FedsegError(f"encoder_weights: {path}: tensor '{name}' is {tensor.dtype}")
        if is_float and not torch.isfinite(tensor).all():
            raise FedsegError(f"encoder_weights: {path}: tensor '{name}' holds NaN or infinity")
        read[name] = tensor
    encoder.load_state_dict(wanted | read)


def read_weights(path: Path) -> WeightFile:
    """The tensors of a file that `encoder_weights` names.

    Raises:
        FedsegError: no such file, or not safetensors, or announces what no model has.
    """
    if not path.is_file():
        raise FedsegError(f"encoder_weights: {path}: no such file")
    try:
        return WeightFile(path)
    except FedsegError as error:
        raise FedsegError(f"encoder_weights: {error}") from None


def _choose(encoder: nn.Module, wanted: Tensors, weights: Tensors, path: Path) -> Renamed:
    """The tensors of a file by the names that an encoder gives them.

    Where no prefix leads to all that it needs, those that come nearest, for an error.
    """
    plain = {name: _plain(name) for name in wanted}
    outlines = announced(weights)

    def match(names: Names) -> Names:
        times = Counter(map(_plain, names))
        given = {_plain(rest): name for rest, name in names.items() if times[_plain(rest)] == 1}
        return {name: given[key] for name, key in plain.items() if key in given}

    def fit(names: Names) -> Names | None:
        found = match(names)
        return found if _fits(encoder, wanted, Renamed(outlines, found)) else None

    least = sum(1 for _ in encoder.parameters())
    whose = f"encoder_weights: {path}"
    selected = select_weights(weights, fit, least, whose)
    if selected is None:
        both = weights, without_common_prefix(weights)
        nearest = (Renamed(own, match({name: name for name in own})) for own in both)
        selected = max(nearest, key=len)
    return selected


def _plain(name: str) -> str:
    """What the names of one tensor have in common in SMP's wrapper, timm's and the model itself."""
    while name.startswith(("model.", "module.", "encoder.", "body.")):
        name = name.partition(".")[2]
    return name.replace(".", "_")


def _fits(encoder: nn.Module, wanted: Tensors, chosen: Tensors) -> bool:
    return not _missing(encoder, wanted, chosen) and not _misshapen(wanted, chosen)


def _missing(encoder: nn.Module, wanted: Tensors, chosen: Tensors) -> list[str]:
    """Names of the tensors that no file may lack, and this one does."""
    parameters = {name for name, _ in encoder.named_parameters()}
    return sorted(
        name
        for name in wanted.keys() - chosen.keys()
        # Counters, index tables and masks follow from the architecture.
        if name in parameters or name.endswith(("running_mean", "running_var"))
    )


def _misshapen(wanted: Tensors, chosen: Tensors) -> list[str]:
    return sorted(name for name in chosen if chosen[name].shape != wanted[name].shape)


def _numbers(weights: Tensors) -> int:
    return sum(tensor.numel() for tensor in weights.values())


def _converted(name: str, weights: Tensors) -> Tensors:
    """A file's tensors, as the module of a timm family converts them to its present layout."""
    name = name.removeprefix("tu-").split(".")[0]
    if not timm.is_model(name):
        return weights
    module = sys.modules[timm.model_entrypoint(name).__module__]
    convert: Any = getattr(module, "checkpoint_filter_fn", None)
    if convert is None:
        return weights
    try:
        with torch.device("meta"):
            whole = timm.create_model(name, **any_size(f"tu-{name}"))
        return dict(convert(dict(weights), whole))
    except Exception:  # of files that are something else
        return weights
