"""Strings of a configuration that name things: files, and what a registry holds."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    WithJsonSchema,
)

from fedseg.errors import did_you_mean
from fedseg.plugins import REFERENCE, is_reference
from fedseg.registry import (
    Registry,
)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What can be part of a file's name everywhere."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]

Fraction = Annotated[float, Field(gt=0, le=1)]


def one_of(registry: Registry, *others: str) -> AfterValidator:
    """Checks that a string is a name in a registry, one of a few others, or "module:object".

    Nothing is imported: a node's owner decides what a node imports.
    """

    def check(name: str) -> str:
        known = [*others, *registry]
        if name not in known and not is_reference(name):
            raise ValueError(f"no {registry.kind} '{name}'; {did_you_mean(name, known)}")
        return name

    return AfterValidator(check)


def choices(registry: Registry, *others: str) -> WithJsonSchema:
    """What docs/configuration.md says of such a string."""
    return WithJsonSchema({"type": "string", "enum": [*others, *registry]})


PluginName = Annotated[str, Field(pattern=REFERENCE.pattern)]

PLUGIN_KEYS = ("arch", "dataset", "generator", "fusion", "loss", "trainer", "trackers", "plugins")
"""Keys that take "module:object"."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]
