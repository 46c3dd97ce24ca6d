"""`KEY=VALUE` on the command line, in place of a value of a file."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

from fedseg.errors import FedsegError, did_you_mean, why_unreadable
from fedseg.settings.section import LONGEST_NUMBER, are_tables, table_names


def with_settings(data: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """The content of a TOML file with other values for some keys.

    Args:
        data: the content, before it is checked.
        settings: `KEY=VALUE` each. A key is dotted; within a list of tables, such as `clients`, its
            part is a table's name or number. A value is TOML, or else a string.

    Raises:
        FedsegError: no `KEY=VALUE`, a value with an open quote or bracket, or a key that goes
            through something other than a table.
    """
    data = deepcopy(data)
    for setting in settings:
        key, separator, value = setting.partition("=")
        *path, last = [part.strip() for part in key.split(".")]
        if not separator or not all([*path, last]):
            raise FedsegError(f"--set {setting}: expected KEY=VALUE, as in training.iterations=500")
        table: Any = data
        for depth in range(len(path)):
            table = _step(table, path[: depth + 1], setting)
        if not isinstance(table, dict):
            inside = ".".join(path)
            known = ", ".join(table_names(table))
            raise FedsegError(
                f"--set {setting}: '{inside}' is a list of tables; write "
                f"--set {inside}.NAME.KEY=VALUE, where NAME is one of {known}"
            )
        table[last] = _value(key.strip(), value.strip())
    return data


class Nothing:
    """The value of `--set KEY=`, which no key takes."""


def _step(table: Any, path: list[str], setting: str) -> Any:
    """What the last part of a key leads to; a table that is not there is made."""
    found, part = None, path[-1]
    if isinstance(table, dict):
        found = table.setdefault(part, {})
    elif isinstance(table, list):
        names = table_names(table)
        numbers = [str(number) for number in range(len(table))]
        if part not in (*names, *numbers):
            raise FedsegError(f"--set {setting}: no '{part}'; {did_you_mean(part, names)}")
        found = table[(names if part in names else numbers).index(part)]
    if isinstance(found, dict) or (isinstance(found, list) and are_tables(found)):
        return found
    raise FedsegError(
        f"--set {setting}: '{part}' is a value, and holds no other; "
        f"write it as a whole, as in {set_option('.'.join(path), found)}"
    )


def _value(key: str, text: str) -> Any:
    """The value that is meant by what stands after `=`.

    Raises:
        FedsegError: a quote or a bracket is missing, or it can't be read.
    """
    if not text:
        return Nothing()
    try:
        return _read_value(text)
    except tomllib.TOMLDecodeError:
        is_open = any(text.count(a) != text.count(b) for a, b in ("[]", "{}"))
        if text[0] not in "\"'[{" and text[-1] not in "\"'" and not is_open:
            return text
    except (ValueError, RecursionError) as error:
        raise FedsegError(f"--set {key}: {why_unreadable(error)}") from None
    hint = next((f"; write {set_option(key, value)}" for value in _closed(text)), "")
    raise FedsegError(f"--set {key}={text}: a quote or a bracket is missing{hint}")


def _read_value(text: str) -> Any:
    content = tomllib.loads(f"value = {text}")
    if len(content) > 1:
        raise tomllib.TOMLDecodeError("more than a value")
    return content["value"]


def _closed(text: str) -> Iterator[Any]:
    """Values that a text may mean in which a quote or a bracket is missing."""
    words = re.sub(r"[A-Za-z_][\w./:-]*", r'"\g<0>"', re.sub("[\"']", "", text))
    for part in (text, words) if set("[],") & set(text) else (text,):
        for closed in (
            part,
            *(part + end for end in "\"']}"),
            *(start + part for start in "\"'[{"),
        ):
            with suppress(ValueError, RecursionError):
                yield _read_value(closed)


def toml(value: Any, is_short: bool = False) -> str:
    """A value as in a TOML file, in one line; as on a command line, if that is to be short."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            is_plain = value.isprintable() and not is_short and not set("'\\") & set(value)
            return f"'{value}'" if is_plain else json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            items = ("," if is_short else ", ").join(toml(item, is_short) for item in value)
            return f"[{items}]"
        case dict():
            items = ", ".join(f"{key} = {toml(item, is_short)}" for key, item in value.items())
            return f"{{ {items} }}" if items else "{}"
        case Nothing():
            return "''"
        case int() if value.bit_length() > LONGEST_NUMBER:
            return f"a number of {value.bit_length()} bits"
    return str(value)


def set_option(key: str, value: Any) -> str:
    """The option that sets a key, as one types it."""
    text = toml(value, is_short=True)
    with suppress(FedsegError):
        if isinstance(value, str) and _value(key, value) == value:
            text = value
    setting = f"{key}={text}"
    return "--set " + (shlex.quote(setting) if set(setting) & set(' "$`') else setting)
