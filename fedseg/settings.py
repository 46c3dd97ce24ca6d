"""Tables of settings: their base, `KEY=VALUE` on the command line, and how two of them differ."""

import tomllib
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ConfigDict

from fedseg.errors import FedsegError, did_you_mean

LONGEST_TEXT = 10_000
"""Characters that a text may have: settings and what nodes say, not files."""


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        str_max_length=LONGEST_TEXT,
    )


def refuse_twice(key: str, values: Iterable[Any]) -> None:
    """See that no value is there twice.

    Args:
        key: what they are, for the error.
        values: of any kind that can be compared.

    Raises:
        ValueError: one is.
    """
    seen = list(values)
    for value in seen:
        if seen.count(value) > 1:
            shown = f"the name '{value}'" if isinstance(value, str) else str(value)
            raise ValueError(f"{key}: {shown} is given twice; all must differ")


def with_settings(data: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """The content of a TOML file with other values for some keys.

    Args:
        data: the content, before it is checked.
        settings: `KEY=VALUE` each. A key is dotted; within a list of tables, such as `clients`, its
            part is a table's name or number. A value is TOML, or else a string.

    Raises:
        FedsegError: no `KEY=VALUE`, or a key that goes through something other than a table.
    """
    data = deepcopy(data)
    for setting in settings:
        key, separator, value = setting.partition("=")
        *path, last = [part.strip() for part in key.split(".")]
        if not separator or not all([*path, last]):
            raise FedsegError(f"--set {setting}: expected KEY=VALUE, as in training.iterations=500")
        table: Any = data
        for part in path:
            table = _step(table, part, setting)
        if not isinstance(table, dict):
            raise FedsegError(f"--set {setting}: '{'.'.join(path)}' is a list; name one of it")
        table[last] = _value(value.strip())
    return data


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The dotted keys whose values differ between two configurations, sorted."""
    flat, others = dict(_flat(one)), dict(_flat(other))
    absent = object()
    keys = flat.keys() | others.keys()
    return sorted(key for key in keys if flat.get(key, absent) != others.get(key, absent))


def _step(table: Any, part: str, setting: str) -> Any:
    """What a part of a key leads to; a table that is not there is made."""
    if isinstance(table, list):
        by_name = {str(item.get("name", n)): item for n, item in enumerate(table)}
        by_number = {str(n): item for n, item in enumerate(table)}
        found = by_name.get(part, by_number.get(part))
        if found is None:
            raise FedsegError(f"--set {setting}: no '{part}'; {did_you_mean(part, by_name)}")
        return found
    if not isinstance(found := table.setdefault(part, {}), dict | list):
        raise FedsegError(f"--set {setting}: '{part}' is a value, and holds no other")
    return found


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each value by its dotted key; tables of a list go by their names, if they have some."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        named = {str(item.get("name", number)): item for number, item in enumerate(value)}
        yield key, list(named)  # their order matters too
        for name, item in named.items():
            yield from _flat(item, f"{key}.{name}")
    elif value is not None:
        yield key, value
