"""Taking in what clients upload: everything is checked before anything of it is used."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from fedseg.config import Model, Training
from fedseg.errors import FedsegError, first_line, plain
from fedseg.evaluation.inference import input_size
from fedseg.models import adapters, checkpoints
from fedseg.models.build import outline_model, state_outline
from fedseg.models.cost import image_cost
from fedseg.models.names import check_names
from fedseg.models.weight_files import announced_tensors
from fedseg.plugins import module_name
from fedseg.registry import MODELS
from fedseg.run.folder import Run
from fedseg.run.uploads import Upload
from fedseg.storage.hashes import content_hash

MOST_COST = 30
"""Largest cost of a client's model, relative to the model that the client was asked for. The
largest model of docs/models.md costs 24 times the default's."""


def check_architecture(upload: Upload, asked: Sequence[Model]) -> None:
    """See that a client's model is no plugin but one that the server asked for; imports nothing.

    Args:
        upload: the client's metadata.
        asked: what the server asked it for, and the global model.

    Raises:
        FedsegError: it is another one.
    """
    arch = upload.info.arch
    if MODELS.is_built_in(arch) or arch in [module_name(model.arch) for model in asked]:
        return
    raise FedsegError(
        f"its architecture, '{plain(arch, 100)}', is not built in, and not one that the federation "
        "file names for it"
    )


def check_sizes(upload: Upload, training: Training) -> None:
    """See that a client's model sees images at the size that the server asked for.

    What it costs the server to run the model follows from that size.

    Raises:
        FedsegError: it names another crop, inference height or stride, or more iterations.
    """
    info = upload.info
    if upload.iterations > training.iterations:
        raise FedsegError(
            f"says that it trained {upload.iterations} iterations, but was asked for "
            f"{training.iterations}"
        )
    check_names(info.arch, info.encoder)
    wanted = checkpoints.describe_model(info.model, training)
    for what in ("crop", "inference_height", "stride"):
        sent, asked = getattr(info, what), getattr(wanted, what)
        if sent != asked:
            raise FedsegError(f"its {what} is {sent}, but {asked} was asked for")


def check_cost(upload: Upload, asked: Sequence[Model]) -> None:
    """See that running a client's model does not cost much more than that of one it was asked for.

    Args:
        upload: the client's metadata.
        asked: what the server asked it for, and the global model.

    Raises:
        FedsegError: it costs more.
    """
    info = upload.info
    if info.model in [model.plain for model in asked]:
        return
    size = input_size(1, 2, info)
    own, usual = image_cost(info.model, size), [image_cost(model.plain, size) for model in asked]
    for what in ("operations", "memory"):
        most = MOST_COST * max(getattr(cost, what) for cost in usual)
        if getattr(own, what) > most:
            raise FedsegError(
                f"its model, {info.arch} with encoder {info.encoder}, costs more than {MOST_COST} "
                f"times the {what} of the one it was asked for"
            )


def _check_base_size(own: Model, asked: Model) -> None:
    """See that the part of a model that the server makes itself is not of a size that others chose.

    Raises:
        FedsegError: it is much larger than that of the model that was asked for.
    """
    numbers = [sum(t.numel() for t in state_outline(m).values()) for m in (own, asked)]
    if numbers[0] > MOST_COST * numbers[1]:
        raise FedsegError(
            f"sends a part of {own.arch} with encoder {own.encoder}, which has more than "
            f"{MOST_COST} times the parameters of the model it was asked for"
        )


def store_upload(
    run: Run,
    upload: Upload,
    weights: Mapping[str, Tensor],
    model: Model | None = None,
    seed: int = 0,
) -> Path:
    """Check a client's weights and write them to the run folder, whole or not at all.

    Where the client sends only what it trained, that is added to the server's own copy of the rest.

    The caller should hold no other reference to the weights: they are freed before the file is
    written.

    Args:
        run: whose folder.
        upload: the client's metadata.
        weights: the client's, of its whole model or of the part that it trained.
        model: as the client was asked to train it, with the server's own encoder weights. None:
            the weights are those of a whole model.
        seed: of the untrained weights.

    Raises:
        FedsegError: architecture not on the allow-list, or a tensor that is missing, unknown, of
            another shape or dtype, not finite, or not what the metadata's hash says; the rest of
            the model differs from the server's; or the server can't write them.
    """
    check_names(upload.info.arch, upload.info.encoder)
    is_part = model is not None and model.train != "all"
    if (upload.base is not None) != is_part:
        wanted, sent = ("a part", "a whole") if is_part else ("a whole", "a part of a")
        raise FedsegError(f"sent {sent} model, but was asked for {wanted}")
    if model is not None and upload.base is not None:
        own = model.model_copy(update=upload.info.model.network)
        _check_base_size(own, model)
        network = adapters.rebuild_model(own, seed, weights, upload.base)
    else:
        network = outline_model(upload.info.model)
        kept = dict(checkpoints.checked_weights(network.state_dict(), weights, "upload"))
        network.load_state_dict(kept, assign=True)
        del kept
    if content_hash(weights) != upload.sha256:
        raise FedsegError("its weights are not those it announced; they were damaged on the way")
    size = sum(tensor.nbytes for tensor in announced_tensors(weights).values())
    del weights
    known = {"sha256": content_hash(network.state_dict()), "bytes": size}
    upload = upload.model_copy(update=known)
    folder = run.clients / upload.name
    try:
        checkpoints.save(folder, network, upload.info, client=upload.model_dump(mode="json"))
    except (OSError, SafetensorError) as error:  # a full disk, for one: a smaller one may fit
        raise FedsegError(f"the server can't keep its upload: {first_line(error)}") from error
    return folder
