"""Results as tables for notebooks: a pandas DataFrame, or HTML."""

from html import escape
from typing import Any

from fedseg.errors import FedsegError
from fedseg.units import format_percent

Rows = dict[str, dict[str, float | None]]
"""Values by row and column; None where there is none."""


def to_frame(rows: Rows, index: str) -> Any:
    """A pandas DataFrame.

    Args:
        rows: its content.
        index: what the rows are.

    Raises:
        FedsegError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise FedsegError("to_frame needs pandas: pip install pandas") from None
    frame = pandas.DataFrame.from_dict(rows, orient="index", dtype=float)
    frame.index.name = index
    return frame


def to_html(rows: Rows, index: str, caption: str) -> str:
    """An HTML table of percentages."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in (index, *columns))
    body = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{format_percent(row.get(column))}</td>" for column in columns)
        + "</tr>"
        for name, row in rows.items()
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
