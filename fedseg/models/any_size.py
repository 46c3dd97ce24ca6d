"""Arguments by which timm makes encoders that take images of any size.

By default a vision transformer takes only the size that it was trained at. With these arguments it
interpolates its positional embedding at each size, or pads its windows.
"""

from typing import Any

from fedseg.models.libraries import timm

PADDED = ["swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr"]
"""timm's modules of encoders that attend within windows."""
INTERPOLATED = ["vision_transformer", "vision_transformer_hybrid", "deit", "eva"]
"""timm's modules of encoders with a table of positions, learnt or rotary."""

PATCH = 16
"""Pixels of a patch in place of 14: a decoder doubles what it sees, and 14 is not a power of 2
(segmentation-models-pytorch, issue 1328). Published weights are resampled to it: FlexiViT, arXiv
2212.08013, section 3.4."""


def any_size(encoder: str) -> dict[str, Any]:
    """Arguments for `timm.create_model`, or for a model of segmentation-models-pytorch.

    Args:
        encoder: `tu-NAME` or `tu-NAME.TAG`; SMP's own encoders need none.
    """
    if not encoder.startswith("tu-"):
        return {}
    name = encoder.removeprefix("tu-").split(".")[0]
    module = timm.model_entrypoint(name).__module__.rpartition(".")[2]
    if module in PADDED:
        return {"strict_img_size": False}
    if module not in INTERPOLATED:
        return {}
    patch = {"patch_size": PATCH} if "patch14" in name else {}
    return {"dynamic_img_size": True, **patch}
