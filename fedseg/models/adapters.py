"""Training a part of a model: its decoder alone, or low-rank adapters of its encoder too.

What is trained is all that a client sends. The server adds it to its own copy of the untrained
model, the base.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from fedseg.config import Model
from fedseg.errors import FedsegError, PublicError
from fedseg.files import digest
from fedseg.models.build import model_inputs, outline_model, seeded_build
from fedseg.models.checkpoints import checked_weights
from fedseg.models.encoder_weights import weights_source
from fedseg.models.info import Base
from fedseg.models.weight_files import check_announced
from fedseg.registry import ADAPTERS
from fedseg.storage.hashes import content_hash


class Part(NamedTuple):
    """What was trained of a model, where that is not all of it.

    Attributes:
        weights: by name, in the state dict of the model with its adapters.
        base: all other tensors.
    """

    weights: dict[str, Tensor]
    base: Base


def freeze_and_adapt(network: nn.Module, model: Model) -> None:
    """Freeze what `model.train` says, and add adapters where it says so; in place.

    Raises:
        PublicError: the encoder has no layers for adapters, or peft is not installed.
    """
    if model.train == "all":
        return
    encoder = _encoder(network, model.train)
    encoder.requires_grad_(False)
    if model.train == "decoder":
        return
    ADAPTERS.load(model.train)(encoder, model.encoder)


def merge_adapters(network: nn.Module) -> None:
    """Add adapters to the weights that they adapt, and make all of a model trainable; in place."""
    for name, module in list(network.named_modules()):
        if _is_adapter(module):
            adapter = cast(Any, module)
            try:
                adapter.merge(safe_merge=True)
            except ValueError as error:
                raise FedsegError(f"the adapter of {name} overflows: {error}") from None
            network.set_submodule(name, adapter.get_base_layer())
    network.requires_grad_(True)


@contextmanager
def adapted(network: nn.Module, model: Model) -> Iterator[None]:
    """Within it, a model is frozen and adapted; afterwards it is whole, with what it learnt.

    After an error it is left as it is then.
    """
    freeze_and_adapt(network, model)
    yield
    merge_adapters(network)


def trained_part(network: nn.Module, model: Model) -> Part:
    """The part that is, or was, trained of a model that is frozen and adapted."""
    weights = _trained(network)
    rest = {name: t for name, t in network.state_dict().items() if name not in weights}
    return Part(weights, Base(weights=weights_source(model), sha256=content_hash(rest)))


def base_of(model: Model, seed: int) -> Base | None:
    """The part of a model that is not trained; None where all of it is.

    Args:
        model: which, with the encoder's weights as they are here.
        seed: of the untrained weights.
    """
    if model.train == "all":
        return None
    return _base_of(model, seed, digest(model_inputs(model)))


@lru_cache(maxsize=8)
def _base_of(model: Model, seed: int, inputs: str) -> Base:
    """`base_of` a model made from these inputs: a server asks for each client's, most are alike."""
    network = seeded_build(model, seed)
    freeze_and_adapt(network, model)
    return trained_part(network, model).base


def check_base(model: Model, seed: int, wanted: Base) -> None:
    """See that what of a model is not trained is the same here as on the server.

    Raises:
        PublicError: it is not.
    """
    own = base_of(model, seed)
    if own is None or own.sha256 != wanted.sha256:
        raise PublicError(
            f"its copy of {model.encoder}, which is not trained, is not the server's: both need "
            "the same encoder_weights, and the same versions of torch and timm. Here they are "
            f"{own}, there {wanted}"
        )


def rebuild_model(model: Model, seed: int, weights: Mapping[str, Tensor], base: Base) -> nn.Module:
    """A model from what was trained of it by somebody else.

    Args:
        model: which, with the encoder's weights as they are here.
        seed: of the untrained weights.
        weights: what was trained, `Part.weights`.
        base: of the rest, `Part.base`.

    Returns:
        The model without adapters, in evaluation mode.

    Raises:
        FedsegError: the weights are not those of that part, or the base is another here.
    """
    outlined = outline_model(model.plain)
    freeze_and_adapt(outlined, model)
    check_announced(_trained(outlined), weights, "upload")  # before anything takes memory for it
    network = seeded_build(model, seed)
    freeze_and_adapt(network, model)
    ours = trained_part(network, model)
    kept = dict(checked_weights(ours.weights, weights, "upload"))
    if ours.base.sha256 != base.sha256:
        raise FedsegError(
            f"its weights were trained on another base: {model.arch} with {model.encoder}, weights "
            f"{base}; the server's are {ours.base}. Both need the same encoder weights"
        )
    network.load_state_dict(kept, strict=False)
    merge_adapters(network)
    return network.eval()


def trained_names(network: nn.Module) -> set[str]:
    """Names, in its state dict, of the tensors that training changes, of an adapted model."""
    frozen = {name for name, value in network.named_parameters() if not value.requires_grad}
    encoder = _encoder(network, "decoder")
    prefix = next(name for name, module in network.named_modules() if module is encoder)
    for name, module in encoder.named_modules(prefix=prefix):
        trained = [value.requires_grad for value in module.parameters(recurse=False)]
        if not any(trained):
            frozen |= {f"{name}.{key}" for key, _ in module.named_buffers(recurse=False)}
    return set(network.state_dict()) - frozen


def _encoder(network: nn.Module, train: str) -> nn.Module:
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise PublicError(
            f"train = '{train}': {type(network).__name__} has no `encoder`; set train to 'all'"
        )
    return encoder


def _trained(network: nn.Module) -> dict[str, Tensor]:
    names = trained_names(network)
    return {name: tensor for name, tensor in network.state_dict().items() if name in names}


def _is_adapter(module: nn.Module) -> bool:
    return hasattr(module, "lora_A") and hasattr(module, "get_base_layer")
