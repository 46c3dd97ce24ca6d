"""Addresses of models on the Hugging Face hub, and which weights are a file of this machine."""

import re
from pathlib import Path
from typing import NamedTuple

WEIGHTS = "model.safetensors"
"""File of a checkpoint folder, here and on the hub."""
ADDRESS = re.compile(r"hf:/{1,2}(?P<repository>[^@]+)(@(?P<revision>.+))?")
"""A `Path` makes one slash of two."""


class Address(NamedTuple):
    """A checkpoint on the hub."""

    repository: str
    """OWNER/NAME."""
    revision: str | None
    """Branch, tag or commit; None: the newest."""

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def address(checkpoint: Path | str) -> Address | None:
    """The hub's checkpoint that is meant; None for a path."""
    match = ADDRESS.fullmatch(str(checkpoint))
    return Address(match["repository"], match["revision"]) if match else None


def is_local_file(encoder_weights: str) -> bool:
    """Whether encoder weights are a file of this machine, which others do not have."""
    return encoder_weights not in ("imagenet", "none") and address(encoder_weights) is None
