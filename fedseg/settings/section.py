"""A table of settings, and how two of them differ."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fedseg.plugins import short_name

LONGEST_TEXT = 10_000
"""Characters that a text may have: settings and what nodes say, not files."""

LONGEST_NUMBER = 63
"""Bits of a whole number in TOML."""


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        str_max_length=LONGEST_TEXT,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _strict(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what Pydantic would convert, as "yes" to true, and what TOML lacks."""
        is_switch = cls.model_fields[str(info.field_name)].annotation is bool
        for item in value if isinstance(value, list | tuple) else (value,):
            if is_switch != isinstance(item, bool):
                raise PydanticCustomError("wrong_type", "wrong type")
            if isinstance(item, int) and item.bit_length() > LONGEST_NUMBER:
                raise PydanticCustomError("too_large", "too large")
            if isinstance(item, str) and "\0" in item:
                raise ValueError("holds a NUL, which can be in no name; remove it")
        return value


def refuse_twice(key: str, values: Iterable[Any]) -> None:
    """See that no value is there twice.

    Args:
        key: what they are, for the error.
        values: of any kind that can be hashed.

    Raises:
        ValueError: one is.
    """
    for value, count in Counter(values).items():
        if count > 1:
            shown = f"the name '{value}'" if isinstance(value, str) else str(value)
            raise ValueError(f"{key}: {shown} is given twice; all must differ")


def table_names(tables: Sequence[Any]) -> list[str]:
    """What each table of a list is called in a dotted key: its name, or else its number.

    A table without a name goes by that of its dataset, as evaluation sets do.
    """
    own = [_own_name(table) for table in tables]
    count = Counter(own)
    return [
        name if count[name] == 1 and name and "." not in name else str(number)
        for number, name in enumerate(own)
    ]


def _own_name(table: Any) -> str:
    if not isinstance(table, dict):
        return ""
    name, dataset = table.get("name"), table.get("dataset")
    return name if isinstance(name, str) else short_name(str(dataset or ""))


def are_tables(values: list[Any]) -> bool:
    """Whether a list holds tables alone."""
    return all(isinstance(value, dict) for value in values)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The dotted keys whose values differ between two configurations, sorted."""
    flat, others = dict(_flat(one)), dict(_flat(other))
    absent = object()
    keys = flat.keys() | others.keys()
    return sorted(key for key in keys if flat.get(key, absent) != others.get(key, absent))


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each value by its dotted key; tables of a list go by their names, if they have some."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and value and are_tables(value):
        named = dict(zip(table_names(value), value, strict=True))
        yield key, list(named)  # their order matters too
        for name, item in named.items():
            yield from _flat(item, f"{key}.{name}")
    elif value is not None:
        yield key, value
