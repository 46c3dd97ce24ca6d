"""Architectures by name, their weights, and checkpoint folders.

May import `storage` and the ground floor.
"""

import sys
from typing import Any, cast

# timm imports wandb where it is installed, for a training script of its own. Without it a process
# starts in three quarters of the time.
_modules = cast(dict[str, Any], sys.modules)
_wandb = _modules.get("wandb")
_modules["wandb"] = None
try:
    import timm  # noqa: F401
finally:
    del _modules["wandb"]
    if _wandb:
        _modules["wandb"] = _wandb
