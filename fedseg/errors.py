"""Errors that a person is meant to read: one line, what is wrong, where, and what to do."""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from importlib import import_module
from typing import Any

MOST_CHARACTERS = 2000
"""Length of a text by others that is shown at most."""


class FedsegError(Exception):
    """A mistake of the user's, or of the user's data. Commands print it and exit with status 2.

    Examples:
        >>> import fedseg
        >>> try:
        ...     fedseg.load_card("camvdi")
        ... except fedseg.FedsegError as error:
        ...     print(error)
        no dataset card 'camvdi'; did you mean 'camvid' or 'camvid-32'?
    """


class PublicError(FedsegError):
    """Its text names no file, host or person, so that a node may send it to the server."""


class ModelError(FedsegError):
    """A model that can't be used: its output is not finite, or it can't take an image's size."""


class RunFailed(FedsegError):
    """Everything was set up rightly, but the run did not reach its end. Exit status 1.

    Examples:
        >>> import fedseg
        >>> issubclass(fedseg.RunFailed, fedseg.FedsegError)
        True
    """


def import_extra(module: str, what: str, extra: str) -> Any:
    """Import a library that only an extra installs.

    Args:
        module: its name.
        what: needs it.
        extra: of fedseg, that has it.

    Raises:
        PublicError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise PublicError(f"{what} needs the extra: pip install 'fedseg[{extra}]'") from None


def plain(text: object, most: int = MOST_CHARACTERS, keep: str = "") -> str:
    r"""A text that others wrote, such as a file's name or a node's error, safe to show in a line.

    Characters that control a terminal or the direction of text, line breaks, and bytes of names
    that are not UTF-8 are shown as escapes (`\x1b`, `\n`, `\xe9`).

    Args:
        text: what to show.
        most: characters that are kept, half of them from its start and half from its end.
        keep: characters that stay as they are all the same.
    """
    shown = str(text)
    if len(shown) > most:
        shown = f"{shown[: most // 2]} ... {shown[-(most // 2) :]}"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in shown)


def _escape(character: str) -> str:
    if unicodedata.category(character) == "Cs":  # how Python keeps a byte that is not UTF-8
        return f"\\x{ord(character) & 0xFF:02x}"
    if unicodedata.category(character) == "Zs":  # a space of another width
        return " "
    return character.encode("unicode_escape").decode()


def first_line(error: Exception) -> str:
    """The first line of what an error of another library says, or else its kind."""
    return plain((str(error).strip() or type(error).__name__).splitlines()[0]).rstrip(".")


def why_unreadable(error: ValueError | RecursionError) -> str:
    """What is wrong with a text that a TOML or JSON parser gave up on."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if "integer string conversion" in str(error):
        return "it holds a number of thousands of digits"
    return first_line(error)


def without_remedy(error: FedsegError) -> str:
    """What an error says is wrong, where the program itself does what it says to do."""
    return str(error).split(";")[0]


def explain_error(error: Exception) -> str:
    """What an error says; of somebody else's, its kind too."""
    known = isinstance(error, FedsegError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`did you mean 'a' or 'b'?`, or all the options where none is near."""
    options = list(options)
    if not options:
        return "there is none"
    near = difflib.get_close_matches(word, options, cutoff=0.55)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    shown = ", ".join(sorted(options)[:20])
    return f"known: {shown}" + (", ..." if len(options) > 20 else "")


def expected(schema: dict[str, Any], count: int = 1) -> str:
    """What a JSON schema asks for, in words, such as `a whole number from 32 to 8192`.

    Args:
        schema: without references.
        count: above 1 for several such values.
    """
    if "anyOf" in schema:
        return _either([*dict.fromkeys(expected(kind, count) for kind in schema["anyOf"])])
    if "enum" in schema or "const" in schema:
        return _either([f"'{value}'" for value in schema.get("enum", [schema.get("const")])])
    match schema.get("type"):
        case "array":
            parts = schema.get("prefixItems", [schema.get("items", {})])
            filled = "a non-empty list" if schema.get("minItems") == 1 else "a list"
            name = filled if count == 1 else "lists"
            return f"{name} of {_how_many(schema)}{expected(parts[0], 2)}"
        case "object" if known := (
            schema.get("properties") or schema.get("propertyNames", {}).get("enum")
        ):
            keys = ", ".join([*known][:3])
            return f"a table with keys such as {keys}" if count == 1 else "tables"
        case "boolean":
            return "true or false"
        case kind:
            name = _KINDS.get("path" if schema.get("format") == "path" else str(kind), "a value")
            name = name.removeprefix("a ") + "s" if count > 1 else name
            return f"{name} {_limits(schema)}".rstrip()


_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "path": "a path",
    "object": "a table",
}


def _either(options: list[str]) -> str:
    *others, last = options[:20]
    return f"{', '.join(others)} or {last}" if others else last


def _how_many(schema: dict[str, Any]) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if least == most:
        return f"{least} "
    words = [f"at least {least}"] * (least > 1) + [f"at most {most}"] * (most is not None)
    return " and ".join(words) + " " * bool(words)


def _limits(schema: dict[str, Any]) -> str:
    """The range of a number, and the characters of a text."""
    if "pattern" in schema:
        return f"of {characters(schema['pattern'])}"
    if "minimum" in schema and "maximum" in schema:
        return f"from {schema['minimum']} to {schema['maximum']}"
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found = [f"{word} {schema[key]}" for key, word in words.items() if key in schema]
    return ("of " if found and found[0].startswith("at") else "") + " and ".join(found)


def characters(pattern: str) -> str:
    """The characters that a regular expression such as `^[a-z_.]+$` allows, in words."""
    allowed = pattern[pattern.rindex("[") + 1 : pattern.rindex("]")]
    words = ["letters"] if "A-Za-z" in allowed else []
    for first, last, single in re.findall(r"(\w)-(\w)|(.)", allowed.replace("A-Za-z", "")):
        spans = {"a-z": "small letters", "0-9": "digits"}
        words.append(
            f"'{single}'" if single else spans.get(f"{first}-{last}", f"{first} to {last}")
        )
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
