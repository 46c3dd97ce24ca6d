"""Mistakes in a table of settings: what Pydantic found, in words for people."""

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from datetime import date
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from fedseg.errors import characters, did_you_mean, expected, plain, why_unreadable
from fedseg.settings.keys import Nothing, set_option, toml
from fedseg.settings.section import table_names

Location = tuple[str | int, ...]
"""The way to a value, through keys and places in lists."""
NUMBER = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
MOST_MISTAKES = 10
"""Mistakes that an error tells of."""
MOST_SHOWN = 100
"""Characters of a value in an error."""


def explain(
    kind: type[BaseModel], error: ValidationError, data: Any, settings: Iterable[str] = ()
) -> str:
    """What is wrong with each key, in words, and what to write instead.

    Args:
        kind: what the content should be.
        error: what Pydantic says of it.
        data: the content that was checked.
        settings: `KEY=VALUE` each, those of its values that come from the command line.
    """
    try:
        return "; ".join(islice(_Mistakes(kind, data, settings).explain(error), MOST_MISTAKES))
    except RecursionError as too_deep:
        return why_unreadable(too_deep)


class _Mistakes:
    """What is wrong with a table."""

    def __init__(self, kind: type[BaseModel], data: Any, settings: Iterable[str]) -> None:
        self._schema = _schema_of(kind)
        self._kind, self._data = kind, data
        keys = [setting.partition("=")[0].split(".") for setting in settings]
        self._options = [[part.strip() for part in key] for key in keys]

    def explain(self, error: ValidationError) -> Iterator[str]:
        """A line for each mistake."""
        seen: set[Any] = set()
        for detail in error.errors(include_url=False):
            where, schema = _locate(self._schema, detail["loc"])
            if detail["type"] == "extra_forbidden":
                where = detail["loc"]
            # A mistake in [training] or [model] comes back from everything that inherits it.
            same = {where, (detail["type"], where[-1:], toml(detail["input"]))}
            if not same & seen:
                yield self._explain_one(detail, where, schema)
            seen |= same

    def _explain_one(self, detail: Any, where: Location, schema: dict[str, Any]) -> str:
        key = ".".join(self._names(where))
        unknown = str(where[-1])[:MOST_SHOWN] if where else ""
        match detail["type"]:
            case "extra_forbidden":
                return f"unknown key '{key}'; {did_you_mean(unknown, schema['properties'])}"
            case "missing" if where == detail["loc"]:
                return f"'{key}' is missing; add it"
            case "too_short" if "properties" in schema.get("items", {}):
                return f"'{key}' is empty; add at least one [[{key}]] table"
            case "too_long":
                length = detail["ctx"]
                return f"'{key}': {length['actual_length']} entries, at most {length['max_length']}"
            case "string_too_long":
                return f"'{key}' is a text of more than {detail['ctx']['max_length']} characters"
            case "string_pattern_mismatch":
                found = plain(toml(detail["input"]), MOST_SHOWN)
                shown = f"'{key}'" if detail["loc"][-1] == "[key]" else f"'{key}' = {found}"
                return f"{shown}: use {characters(detail['ctx']['pattern'])} only"
            case "value_error":
                return (f"{key}: " if key else "") + str(detail["ctx"]["error"])
        return self._wrong_value(where, schema, detail["input"])

    def _wrong_value(self, where: Location, schema: dict[str, Any], found: Any) -> str:
        """What a key takes, if it takes no value of this type or range."""
        while isinstance(_at(self._data, where), Nothing) and not isinstance(
            _at(self._data, where[:-1]), dict | Nothing
        ):
            where = where[:-1]  # a list of classes is short for a table of them
        names = self._names(where)
        value = _at(self._data, where)
        is_option = any(
            all(isinstance(place, int) or part == place for part, place in zip(key, where))  # noqa: B905
            for key in self._options
        )
        key = ".".join(names if is_option else names[-1:])
        found = found if isinstance(value, Nothing) else value
        text = plain(toml(found), MOST_SHOWN)
        shown = "has no value" if isinstance(found, Nothing) else f"= {text}"
        wrong = f"'{'.'.join(names)}' {shown}: " if where else ""
        hint = self._hint(key, where, schema, value, is_option) if where else ""
        return f"{wrong}expected {expected(schema)}{hint}"

    def _hint(
        self, key: str, where: Location, schema: dict[str, Any], value: Any, is_option: bool
    ) -> str:
        """What to write: what was meant, if the key takes that, or else the default."""
        if "properties" in schema and isinstance(value, list) and not is_option:
            return f"; write [{key}]"
        if "properties" in schema.get("items", {}):
            option = set_option(f"{key}.NAME.KEY", "VALUE")
            return f"; write {option if is_option else f'[[{key}]]'}"
        for guess in _guesses(schema, value):
            if self._is_taken(where, guess):
                return f"; write {_written(key, guess, is_option)}"
        default = _default(schema)
        if default is not None:
            return f", as in {_written(key, default, is_option)}"
        return f"; write --set {key}=VALUE" if isinstance(value, Nothing) and is_option else ""

    def _is_taken(self, where: Location, value: Any) -> bool:
        """Whether a value would be right for a key; of a table, for the one key that it holds."""
        changed = deepcopy(self._data)
        _at(changed, where[:-1])[where[-1]] = value
        focus = (*where, *value) if isinstance(value, dict) else where
        try:
            self._kind.model_validate(changed)
        except ValidationError as error:
            places = [detail["loc"] for detail in error.errors()]
            return all(at[: len(focus)] != focus[: len(at)] for at in places)
        return True

    def _names(self, where: Location) -> list[str]:
        """The parts of a dotted key: a table of a list goes by its name."""
        names = []
        for depth, part in enumerate(where):
            tables = _at(self._data, where[:depth])
            own = table_names(tables) if isinstance(tables, list) else []
            names.append(own[part] if isinstance(part, int) and part < len(own) else str(part))
        return names


@cache
def _schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, without references."""
    schema = kind.model_json_schema()
    found: dict[str, Any] = _inlined(schema, schema.get("$defs", {}))
    return found


def _locate(schema: dict[str, Any], location: Location) -> tuple[Location, dict[str, Any]]:
    """The key that a mistake is about, and its JSON schema.

    What Pydantic's location says beyond it is a place in a list of values, or a kind of value.
    """
    for depth, part in enumerate(location):
        below = schema.get("properties", {}).get(part)
        if isinstance(part, int) and "properties" in schema.get("items", {}):
            below = schema["items"]
        elif "properties" not in schema and part != "[key]":
            patterns = schema.get("patternProperties", {}).values()
            below = below or schema.get("additionalProperties") or next(iter(patterns), None)
        if not isinstance(below, dict):
            return location[:depth], schema
        schema = below
    return location, schema


def _at(data: Any, location: Location) -> Any:
    """The value of a key; `Nothing` where the file does not give it."""
    for part in location:
        is_place = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not is_place and not (isinstance(data, dict) and part in data):
            return Nothing()
        data = data[part]
    return data


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A JSON schema without references, and without null, which TOML lacks."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: value for key, value in schema.items() if key != "$defs"}
    if reference := schema.pop("$ref", None):
        return _inlined(definitions[reference.rpartition("/")[2]] | schema, definitions)
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(options) == 1:
        del schema["anyOf"]
        return _inlined(options[0] | schema, definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def _written(key: str, value: Any, is_option: bool) -> str:
    """A value for a key, as a person writes it; of a table, one key of it."""
    if isinstance(value, dict):
        [(inner, value)] = value.items()
        key = f"{key}.{inner}"
    return set_option(key, value) if is_option else f"{key} = {toml(value)}"


def _default(schema: dict[str, Any]) -> Any:
    """The default of a key that has one worth showing; of a table, that of its first such key."""
    if "properties" in schema:
        known = {name: _default(one) for name, one in schema["properties"].items()}
        usable = ({k: v} for k, v in known.items() if v is not None and not isinstance(v, dict))
        return next(usable, None)
    default = schema.get("default")
    return None if default in ("", [], {}) else default


def _guesses(schema: dict[str, Any], value: Any) -> Iterator[Any]:
    """Values that a wrong one may stand for, such as [96, 128] for "96x128"."""
    if isinstance(value, str) and len(value) <= MOST_SHOWN:
        if re.fullmatch(rf"[\s\[(]*{NUMBER}([\s,;x\u00d7*]+{NUMBER})*[\s\])]*", value):
            found = re.findall(NUMBER, value)
            numbers = [float(n) if set(n) & set(".e") else int(n) for n in found]
            yield from (numbers[0], numbers * 2, numbers) if len(numbers) == 1 else [numbers]
        yield from (WORDS[word] for word in [value.lower()] if word in WORDS)
        yield from get_close_matches(value, map(str, schema.get("enum", ())), 1)
        yield [word.strip() for word in value.split(",")]
    elif isinstance(value, list):
        yield from (value[0], value * 2) if len(value) == 1 else ()
    elif isinstance(value, int | float | date) and not isinstance(value, bool):
        yield from (bool(value),) if value in (0, 1) else ()
        yield from () if isinstance(value, float) else (toml(value),)
        yield from ([value], [value, value])
    if not isinstance(value, dict | Nothing):
        yield from ({key: value} for key in schema.get("properties", ()))
