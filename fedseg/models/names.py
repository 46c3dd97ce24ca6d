"""Names of architectures and encoders: the allow-list. Nothing is imported.

Needs no torch, as a misspelt name should not wait for the seconds that its import takes. So the
names of encoders are read from the sources of segmentation-models-pytorch and timm.
"""

import re
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from fedseg.errors import FedsegError, did_you_mean
from fedseg.plugins import is_reference
from fedseg.registry import MODELS, SMP_MODELS

SMP, TIMM = "segmentation_models_pytorch", "timm"
ENCODER = re.compile(r'^    "([\w.-]+)": \{$', re.MULTILINE)
"""Begins an entry of one of SMP's tables of encoders."""
ENTRYPOINT = re.compile(r"^@register_model\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
"""Begins a function of timm's that makes a model."""


def check_names(arch: str, encoder: str) -> None:
    """See that an architecture is known, and that its encoder is, if it is of SMP's models.

    Others know their encoders themselves.

    Raises:
        FedsegError: with the nearest names.
    """
    if arch not in SMP_MODELS:
        if arch not in MODELS and not is_reference(arch):
            raise FedsegError(f"no architecture '{arch}'; {did_you_mean(arch, MODELS)}")
        return
    if encoder.startswith("tu-"):
        known = [f"tu-{model}" for model in timm_models()]
        name = encoder.split(".")[0]  # timm's NAME.TAG: the tag chooses among pretrained weights
    else:
        known, name = smp_encoders(), encoder
    if name not in known:
        raise FedsegError(f"no encoder '{encoder}'; {did_you_mean(name, known)}")


@cache
def smp_encoders() -> list[str]:
    """Names of SMP's own encoders."""
    return sorted(set(ENCODER.findall(_source(SMP, "encoders/*.py"))))


@cache
def timm_models() -> list[str]:
    """Names of timm's models."""
    return ENTRYPOINT.findall(_source(TIMM, "models/*.py"))


def _source(library: str, pattern: str) -> str:
    """The text of some files of a library."""
    [folder] = cast(ModuleSpec, find_spec(library)).submodule_search_locations or []
    files = sorted(Path(folder).glob(pattern))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
