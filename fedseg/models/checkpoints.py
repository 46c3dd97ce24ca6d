"""Checkpoint folders: what a model's `save_pretrained` writes, as SMP's do, and a bit more.

config.json        architecture and its arguments     } smp.from_pretrained(folder)
model.safetensors  weights                            } needs only these
fedseg.json        classes, normalisation, crop, inference height
made_from.json     what it was made from, and a hash of each file
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import nn

from fedseg.config import Model, Training
from fedseg.errors import FedsegError
from fedseg.files import atomic_folder, digest, write_json
from fedseg.machine import lean_memory
from fedseg.models.build import build, model_stride, normalisation, state_outline
from fedseg.models.hub import local_folder
from fedseg.models.info import INFO
from fedseg.models.info import Info as Info
from fedseg.models.info import load_info as load_info
from fedseg.models.locations import WEIGHTS as WEIGHTS
from fedseg.models.prefixes import strip_prefix
from fedseg.models.weight_files import WeightFile, check_announced
from fedseg.plugins import module_name
from fedseg.storage import provenance
from fedseg.storage.hashes import file_hashes
from fedseg.storage.provenance import Inputs

PART = "part.safetensors"
"""What was trained of a client's model, if not all of it; see `adapters`."""


def describe_model(
    model: Model, training: Training, coverage: tuple[int, ...] | None = None
) -> Info:
    """What a model trained in that way will have to say of itself."""
    mean, std = normalisation(model)
    step = model_stride(model.plain)
    default = round(1.25 * training.crop[0] / step) * step
    return Info(
        **model.network | {"arch": module_name(model.arch)},
        coverage=tuple(range(len(model.classes))) if coverage is None else coverage,
        mean=mean,
        std=std,
        crop=training.crop,
        inference_height=training.inference_height or max(default, 32),
        stride=step,
    )


def save(
    folder: Path,
    network: nn.Module,
    info: Info,
    made_from: Inputs | None = None,
    part: Mapping[str, torch.Tensor] | None = None,
    **extra: object,
) -> None:
    """Write a checkpoint folder atomically.

    Args:
        folder: where to; replaced if it is there.
        network: the model.
        info: of the model.
        made_from: the inputs it was made from, for `provenance.is_product`.
        part: weights of which alone others need to know, where those are not all.
        extra: contents of further JSON files, by name without suffix.
    """
    with atomic_folder(folder) as temporary:
        network.to(memory_format=torch.contiguous_format)
        if hasattr(network, "save_pretrained"):
            cast(Any, network).save_pretrained(temporary)
        else:
            own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            save_file(own, temporary / WEIGHTS, {"format": "pt"})
        network.to(memory_format=torch.channels_last)
        (temporary / "README.md").unlink(missing_ok=True)  # the hub's model card, for uploads to it
        write_json(temporary / INFO, info.model_dump(mode="json"))
        if part is not None:
            save_file({k: t.contiguous() for k, t in part.items()}, temporary / PART)
        for name, content in extra.items():
            write_json(temporary / f"{name}.json", content)
        provenance.seal(temporary, made_from or {})


def identity(folder: Path) -> tuple[str, str]:
    """What the output of a checkpoint's model depends on: hashes of its weights, and of `Info`."""
    [weights] = file_hashes([folder / WEIGHTS])
    return weights, digest(load_info(folder).inputs)


def load(folder: Path | str, device: str | torch.device = "cpu") -> tuple[nn.Module, Info]:
    """Read a checkpoint folder; nothing in it is run or unpickled.

    Args:
        folder: global/, or one below clients/, of a run folder; or `hf://REPOSITORY[@REVISION]`,
            which is downloaded.
        device: where the model shall be.

    Returns:
        The model, in evaluation mode, channels last; and what to know of it.

    Raises:
        FedsegError: not a checkpoint folder, one whose weights are not those of its model, or one
            whose files changed since fedseg wrote them.

    Examples:
        >>> import fedseg
        >>> network, info = fedseg.load_checkpoint("runs/embedded/global")
        >>> info.arch, len(info.classes), info.inference_height
        ('fpn', 19, 32)
    """
    folder = local_folder(folder)
    info = load_info(folder)
    provenance.verify(folder)
    return restore_network(info, StoredWeights(folder), str(folder), device), info


def restore_network(
    info: Info,
    weights: Mapping[str, torch.Tensor],
    whose: str,
    device: str | torch.device = "cpu",
) -> nn.Module:
    """The model that an `Info` describes, in evaluation mode, with weights that are checked.

    A prefix that all names of the model have in them is left out; see `strip_prefix`.
    """
    wanted = state_outline(info.model)
    weights = strip_prefix(wanted, weights, whose)
    check_announced(wanted, weights, whose)  # what is built takes the memory that others named
    with lean_memory():  # one model after another may be loaded
        network = build(info.model)
        own = network.state_dict()
        for name, tensor in checked_weights(own, weights, whose):
            own[name].copy_(tensor)
    return network.eval().to(device)


class StoredWeights(WeightFile):
    """The weights of a checkpoint folder.

    Args:
        folder: the checkpoint.
        name: of the file in it.
    """

    def __init__(self, folder: Path, name: str = WEIGHTS) -> None:
        super().__init__(folder / name)


def checked_weights(
    wanted: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], whose: str
) -> Iterator[tuple[str, torch.Tensor]]:
    """See that weights are exactly what is wanted: names, shapes, dtypes, all finite.

    Args:
        wanted: the tensors of a model, for their names, shapes and dtypes.
        weights: tensors by name.
        whose: they are, for errors.

    Yields:
        Name and tensor, one after another.

    Raises:
        FedsegError: the first thing that is wrong, `whose` it is, and in which tensor.
    """
    check_announced(wanted, weights, whose)
    for name in wanted:
        tensor = weights[name]
        if not torch.isfinite(tensor).all():
            raise FedsegError(f"{whose}: tensor '{name}' holds NaN or infinity")
        if name.endswith("running_var") and (tensor < 0).any():
            raise FedsegError(f"{whose}: tensor '{name}' holds a negative variance")
        yield name, tensor
