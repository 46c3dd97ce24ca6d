"""What a person sees on the terminal: results on stdout, how far the work is on stderr."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fedseg.errors import plain


class PlainConsole(Console):
    """A console that shows text as it is: nothing in it is markup, an emoji or a control code.

    Paths and names may hold brackets and colons, and texts of nodes and cards come from others.
    Styles are given by `rich.text.Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """What Rich makes of every string that it is given."""
        return super().render_str(plain(text, keep="\n"), **options)


console = PlainConsole()
progress = PlainConsole(stderr=True)

INTERVAL = 60.0
"""Seconds between two plain lines of one stage."""


def show(*parts: RenderableType) -> None:
    """Print tables and lines."""
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))


def show_line(line: str) -> None:
    """Print one line, which is not broken."""
    print(plain(line))


def answer(as_json: bool, value: Any, *parts: RenderableType) -> None:
    """Print a result: `value` as JSON for a program, or tables and lines for a person."""
    if as_json:
        print(json.dumps(value, indent=2))
    else:
        show(*parts)


def run_locations(folder: Path) -> list[str]:
    """Lines that say where a run's results are."""
    report = folder / "report.html"
    return [f"run folder: {folder}", *([f"report: {report}"] if report.is_file() else [])]


class NoticeHandler(logging.Handler):
    """Prints notices on stderr, above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one notice."""
        progress.print(f"note: {plain(record.getMessage())}", highlight=False, soft_wrap=True)


class Bars:
    """Progress bars, one a name; plain lines, at most one a minute, where there is no terminal."""

    def __init__(self) -> None:
        self._plain = not progress.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[name]:<14}", markup=False),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[details]}", markup=False),
            console=progress,
            disable=self._plain or progress.quiet,
        )
        self._tasks: dict[str, Any] = {}
        self._stages: dict[str, str] = {}
        self._printed: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def wait(self) -> None:
        """Show on a terminal that something goes on, until there is progress to show."""
        if not self._plain:
            self("starting", 0, 1)

    def __call__(
        self, stage: str, done: int, total: int, /, name: str = "", **details: float
    ) -> None:
        """Show that `done` of `total` of a stage are done, by `name`, with numbers beside it."""
        stage, name = plain(stage), plain(name)
        shown = " ".join(f"{key} {value:#.3g}" for key, value in details.items())
        if self._plain:
            self._line(stage, done, total, name, shown)
            return
        if self._stages.get(name) != stage:
            self._stages[name] = stage
            if name in self._tasks:
                self._progress.remove_task(self._tasks[name])
            self._tasks[name] = self._progress.add_task(stage, name=name, details=shown)
        self._progress.update(self._tasks[name], completed=done, total=total, details=shown)

    def _line(self, stage: str, done: int, total: int, name: str, shown: str) -> None:
        """A line when a stage begins, and one a minute while it lasts."""
        now = time.monotonic()
        if self._stages.get(name) == stage:
            printed, before = self._printed[name]
            if done == before or now - printed < INTERVAL:
                return
        self._stages[name], self._printed[name] = stage, (now, done)
        whose = f"{name}: " if name else ""
        progress.print(f"{whose}{stage} {done}/{total} {shown}".rstrip(), soft_wrap=True)
