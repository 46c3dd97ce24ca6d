"""A table of scores, models by datasets, as papers print it: Markdown and LaTeX."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedseg.errors import FedsegError, plain
from fedseg.files import write_text
from fedseg.models.locations import address
from fedseg.storage.frames import Rows, to_frame, to_html
from fedseg.units import format_percent

Cell = float | None

LATEX = {character: f"\\{character}" for character in "&%_#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True, repr=False)
class ScoreTable:
    """mIoU in 0..1 of models (rows) on datasets (columns); None where there is none.

    A last column, the mean over the datasets, is given for models that have a score on each.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[Cell, ...]]
    caption: str
    spreads: dict[str, tuple[float, ...]] | None = None
    """Standard deviation of each cell, where there is one."""

    def __repr__(self) -> str:
        return f"<ScoreTable {len(self.rows)} models on {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        return to_html(self._by_column(), "model", self.caption)

    def to_frame(self) -> Any:
        """A pandas DataFrame: a row for each model, a column for each set, mIoU in 0..1.

        Raises:
            FedsegError: pandas is not installed.
        """
        return to_frame(self._by_column(), "model")

    def _by_column(self) -> Rows:
        return {
            name: dict(zip(self.columns, cells, strict=True)) for name, cells in self.rows.items()
        }

    def markdown(self) -> str:
        """The table as Markdown."""
        headings = [_markdown(name) for name in self.headings()]
        lines = [["model", *headings], ["---", *["---:"] * len(headings)]]
        lines += [
            [_markdown(name), *cells] for name, *cells in self.body(lambda text: f"**{text}**")
        ]
        body = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        return f"{body}\n\n{_markdown(self.caption)}\n"

    def latex(self) -> str:
        r"""The table as LaTeX; needs `\usepackage{booktabs}`."""
        head = " & ".join(map(_escaped, ["model", *self.headings()]))
        body = [
            " & ".join([_escaped(name), *cells])
            for name, *cells in self.body(lambda text: rf"\textbf{{{text}}}")
        ]
        lines = [
            rf"% {plain(self.caption)}",
            rf"\begin{{tabular}}{{l{'r' * len(self.headings())}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
            *(rf"{row} \\" for row in body),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """Write table.md and table.tex."""
        write_text(folder / "table.md", self.markdown())
        write_text(folder / "table.tex", self.latex())

    def headings(self) -> list[str]:
        """Names of the columns, with the mean."""
        return [*self.columns, "mean"] if len(self.columns) > 1 else list(self.columns)

    def body(self, best: Callable[[str], str]) -> list[list[str]]:
        """Rows of text; `best` marks the highest of each column."""
        rows = {name: self._with_mean(cells) for name, cells in self.rows.items()}
        columns = zip(*rows.values(), strict=True)
        highest = [max((c for c in column if c is not None), default=None) for column in columns]

        def text(cell: Cell, top: Cell, spread: Cell) -> str:
            if cell is None:
                return "-"
            number = format_percent(cell)
            number = best(number) if cell == top and len(rows) > 1 else number
            return number if spread is None else f"{number} \u00b1 {format_percent(spread)}"

        return [
            [name, *map(text, cells, highest, self._spreads(name, len(cells)))]
            for name, cells in rows.items()
        ]

    def _spreads(self, name: str, columns: int) -> list[Cell]:
        """The spread of each cell of a row; the mean over datasets has none."""
        known = list((self.spreads or {}).get(name, ()))
        return known + [None] * (columns - len(known))

    def _with_mean(self, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        if len(cells) == 1:
            return cells
        known = [cell for cell in cells if cell is not None]
        return (*cells, sum(known) / len(known) if len(known) == len(cells) else None)


def _markdown(text: str) -> str:
    """Text in a Markdown table: nothing in it ends a cell or begins a link or a tag."""
    return re.sub(r"([\\`*|<>\[\]])", r"\\\1", plain(text))


def _escaped(text: str) -> str:
    """Text in LaTeX."""
    return "".join(LATEX.get(character, character) for character in plain(text))


def row_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart.

    Raises:
        FedsegError: one checkpoint is given twice.
    """
    parts = [_parts(folder) for folder in folders]
    if len(set(parts)) < len(parts):
        raise FedsegError("a checkpoint is given twice; give each once")
    length = 1
    while len({path[-length:] for path in parts}) < len(parts):
        length += 1
    return ["/".join(path[-length:]) for path in parts]


def _parts(folder: Path) -> tuple[str, ...]:
    published = address(folder)
    return (str(published),) if published else folder.resolve().parts
