"""Errors that a person is meant to read: one line, what is wrong, where, and what to do."""

import difflib
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


def without_remedy(error: FedsegError) -> str:
    """What an error says is wrong, where the program itself does what it says to do."""
    return str(error).split(";")[0]


def explained(error: Exception) -> str:
    """What an error says; of somebody else's, its kind too."""
    known = isinstance(error, FedsegError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def did_you_mean(word: str, options: Iterable[str], most: int = 3) -> str:
    """`did you mean 'a' or 'b'?`, or all the options where none is near."""
    options = list(options)
    near = difflib.get_close_matches(word, options, n=most, cutoff=0.55)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    shown = ", ".join(sorted(options)[:20])
    return f"known: {shown}" + (", ..." if len(options) > 20 else "")
