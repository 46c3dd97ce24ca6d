"""Encoders of transformers' families, by the arguments of their configurations. Needs no torch."""

from typing import Any


def _mix_transformer(depths: list[int], width: int = 64, decoder: int = 768) -> dict[str, Any]:
    widths = [width, 2 * width, 5 * width, 8 * width]
    return {"depths": depths, "hidden_sizes": widths, "decoder_hidden_size": decoder}


def _swin(width: int, depth: int, heads: int, window: int) -> dict[str, Any]:
    return {
        "embed_dim": width,
        "depths": [2, 2, depth, 2],
        "num_heads": [heads, 2 * heads, 4 * heads, 8 * heads],
        "window_size": window,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }


def _vit(width: int, depth: int, heads: int) -> dict[str, Any]:
    return {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}


ENCODERS = {
    # Xie et al., arXiv 2105.15203, table 6; those of nvidia/mit-b0 to b5.
    "hf_segformer": {
        "mit-b0": _mix_transformer([2, 2, 2, 2], 32, 256),
        "mit-b1": _mix_transformer([2, 2, 2, 2], decoder=256),
        "mit-b2": _mix_transformer([3, 4, 6, 3]),
        "mit-b3": _mix_transformer([3, 4, 18, 3]),
        "mit-b4": _mix_transformer([3, 8, 27, 3]),
        "mit-b5": _mix_transformer([3, 6, 40, 3]),
    },
    # Liu et al., arXiv 2103.14030, section 3.3; those of facebook/mask2former-swin-*.
    "hf_mask2former": {
        "swin-tiny": _swin(96, 6, 3, 7),
        "swin-small": _swin(96, 18, 3, 7),
        "swin-base": _swin(128, 18, 4, 12),
        "swin-large": _swin(192, 18, 6, 12),
    },
    # DINOv2's, arXiv 2304.07193, table 17; those of tue-mps/*_eomt_*.
    "hf_eomt": {
        "dinov2-small": _vit(384, 12, 6),
        "dinov2-base": _vit(768, 12, 12),
        "dinov2-large": _vit(1024, 24, 16),
    },
}
"""Of each architecture in `huggingface.FAMILIES`, by name, what its `configure` takes."""
