"""Errors that a person is meant to read: one line, what is wrong, where, and what to do."""

import difflib
from collections.abc import Iterable


class FedsegError(Exception):
    """A mistake of the user's, or of the user's data. Commands print it and exit with status 2.

    Example:
        >>> import fedseg
        >>> try:
        ...     fedseg.load_card("camvdi")
        ... except fedseg.FedsegError as error:
        ...     print(error)
        no dataset card 'camvdi'; did you mean 'camvid' or 'camvid-32'?
    """


class PublicError(FedsegError):
    """Its text names no file, host or person, so that a node may send it to the server."""


class RunFailed(FedsegError):
    """Everything was set up rightly, but the run did not reach its end. Exit status 1."""


def first_line(error: Exception) -> str:
    """The first line of what an error of somebody else's says, or else its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
