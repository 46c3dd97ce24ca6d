"""Low-rank adapters of an encoder's attention (LoRA, arXiv 2106.09685), made by peft."""

import re
from contextlib import suppress

import torch
from torch import nn

from fedseg.errors import PublicError, import_extra

ATTENTION = re.compile(r"(attn|attention)\.(.+\.)?(qkv|kv|[qkv]|[qkvo]_proj|proj)$")
"""Names of the projections within the attention of timm's, SMP's and Hugging Face's models."""
RANK = 8
"""Rank of the adapters, as of the paper's smallest: section 7.2 finds that more helps little."""
SCALE = 2.0
"""Of the adapters' output: alpha / r, section 4.1."""
NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


def add_adapters(encoder: nn.Module, name: str) -> None:
    """Add adapters to a frozen encoder, and let its normalisations be trained; in place.

    Args:
        encoder: as it was built.
        name: of the encoder, for errors.

    Raises:
        PublicError: it has no layers for adapters, or peft is not installed.
    """
    peft = import_extra("peft", "train = 'lora'", "lora")
    settings = peft.LoraConfig(
        r=RANK, lora_alpha=SCALE * RANK, target_modules=_targets(encoder, name)
    )
    peft.inject_adapter_in_model(settings, encoder)
    for module in encoder.modules():
        if isinstance(module, NORMS):
            module.requires_grad_(True)


def _targets(encoder: nn.Module, name: str) -> list[str]:
    """Names of the layers that get an adapter: all linear ones of the attention."""
    found = [
        layer
        for layer, module in encoder.named_modules()
        if ATTENTION.search(layer) and isinstance(module, nn.Linear)
    ]
    found = _called(encoder, found)
    if not found:
        raise PublicError(f"train = 'lora': encoder {name} has no layer of an attention")
    return found


def _called(encoder: nn.Module, names: list[str]) -> list[str]:
    """Which of some layers are called: some attentions multiply with a layer's weights themselves.

    An adapter of such a layer, as of qkv in SwinV2 and EVA-02, would do nothing.
    """
    called: set[str] = set()
    hooks = [
        encoder.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
        for name in names
    ]
    was_training, device = encoder.training, next(encoder.parameters()).device
    try:
        for side in (64, 224):
            with suppress(Exception), torch.no_grad():  # a model may raise anything for its size
                encoder.eval()(torch.zeros(1, 3, side, side, device=device))
                break
    finally:
        encoder.train(was_training)
        for hook in hooks:
            hook.remove()
    return [name for name in names if name in called]
