"""Writes configuration.md: every key of every file that fedseg reads, from the Pydantic models.

    python docs/configuration.py

A test fails when the models have changed and this has not been run.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fedseg.config import Federation, Section, Suite
from fedseg.data.cards import Card
from fedseg.participants.node import Node

PAGE = Path(__file__).with_suffix(".md")

FILES: dict[type[Section], str] = {
    Federation: "A federation file",
    Suite: "A suite file",
    Node: "A node file",
    Card: "A dataset card",
}
"""What each kind of file holds at its top, and its heading."""

INTRODUCTION = """\
# Configuration

<!-- Written by docs/configuration.py from the models in fedseg/; edit those. -->

Every file is TOML. An unknown key is an error that names the nearest known one. Paths are relative
to the file they stand in. [examples/](../examples) has whole federation files,
[datasets/](../datasets) cards; [data.md](data.md) writes a card step by step.
"""


def page() -> str:
    """The whole of configuration.md."""
    parts = [INTRODUCTION]
    titles: dict[type[Section], str] = {}
    for kind, heading in FILES.items():
        parts += [f"## {heading}\n", _paragraph(kind.__doc__)]
        parts += _tables(kind, kind.model_fields, "", titles)
    return "\n".join(parts)


def _tables(
    kind: type[Section], keys: Iterable[str], place: str, titles: dict[type[Section], str]
) -> list[str]:
    """A table of keys, and a section for each kind of table below it that was not titles before."""
    inner: dict[str, type[Section]] = {}
    for key, field in kind.model_fields.items():
        table = _table_kind(field.annotation)
        if table and table not in titles:
            path = f"{place}.{key}".removeprefix(".")
            brackets = {"list": f"[[{path}]]", "dict": f"[{path}.NAME]"}
            titles[table] = brackets.get(_outer(field.annotation), f"[{path}]")
            inner[path] = table
    parts = [_table(kind, keys, titles)] if keys else []
    for path, table in inner.items():
        parts += [f"### `{titles[table]}`\n", _paragraph(table.__doc__)]
        base, own = table.__bases__[0], list(table.model_fields)
        if base in titles:
            own = [key for key in own if key in table.__annotations__]
            parts.append(f"All keys of `{titles[base]}`{', and:' if own else '.'}\n")
        order = list(titles)
        for shown in order[: order.index(table)]:
            if table in shown.__bases__:
                others = ", ".join(f"`{key}`" for key in shown.__annotations__)
                parts.append(f"All keys of `{titles[shown]}` but {others}.\n")
                own = []
        parts += _tables(table, own, path, titles)
    return parts


def _table(kind: type[Section], keys: Iterable[str], titles: dict[type[Section], str]) -> str:
    """A Markdown table of some of the keys."""
    schema = kind.model_json_schema()
    rows = ["| key | value | default | |", "| --- | --- | --- | --- |"]
    for key in [key for key in keys if key in schema["properties"]]:
        field = kind.model_fields[key]
        meaning = " ".join((field.description or "").split())
        value = _value(schema["properties"][key], schema.get("$defs", {}))
        if table := _table_kind(field.annotation):
            value += f", see `{titles[table]}`"
        rows.append(f"| `{key}` | {value} | {_default(field)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _default(field: Any) -> str:
    if "default: " in (field.description or "").lower():
        return ""
    if field.is_required():
        return "*required*"
    value = field.default
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value, default=str)}`" if value != "" else ""


def _value(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a key may hold, in words, from its JSON schema."""
    if "anyOf" in schema:
        kinds = [s for s in schema["anyOf"] if s.get("type") != "null"]
        return " or ".join(_value(kind, definitions) for kind in kinds)
    if "$ref" in schema:
        return "table"
    if "const" in schema or "enum" in schema:
        return " or ".join(f'`"{value}"`' for value in schema.get("enum", [schema.get("const")]))
    match schema["type"]:
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(_value(item, definitions) for item in schema['prefixItems'])}]"
        case "array":
            item = _value(schema["items"], definitions)
            return "array of tables" if item == "table" else f"[{item}, ...]"
        case "object":
            return "tables by name"
        case "string":
            return "path" if schema.get("format") == "path" else "text"
        case "boolean":
            return "`true` or `false`"
        case number:
            return f"{number} {_limits(schema)}".rstrip()


def _limits(schema: dict[str, Any]) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return " and ".join(f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema)


def _table_kind(annotation: Any) -> type[Section] | None:
    """The model of a table, of an array of tables, or of tables by name."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _outer(annotation: Any) -> str:
    """list or dict, for arrays of tables and tables by name."""
    return getattr(getattr(annotation, "__origin__", None), "__name__", "")


def _paragraph(docstring: str | None) -> str:
    return " ".join((docstring or "").partition("\n\n")[0].split()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
