"""segmentation-models-pytorch and timm, imported without wandb.

timm imports wandb where it is installed, for a training script of its own. Without it a process
starts in three quarters of the time. So fedseg imports both libraries from here.
"""

import sys
from typing import Any, cast

_modules = cast(dict[str, Any], sys.modules)
_wandb = _modules.get("wandb")
_modules["wandb"] = None
try:
    import segmentation_models_pytorch as smp
    import timm
finally:
    del _modules["wandb"]
    if _wandb:
        _modules["wandb"] = _wandb

__all__ = ["smp", "timm"]
