"""Commands: `python -m rendered --help`."""

from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fedseg.classes import CLASSES
from fedseg.errors import FedsegError
from fedseg.machine import cpus

from .rendering.mitsuba import start
from .statistics import contact_sheet, frequencies
from .worlds import WORLDS
from .write import missing, write

app = typer.Typer(
    help="Renders the benchmark's worlds: streets made by program, with exact labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()


def _check(names: list[str]) -> None:
    unknown = [name for name in names if name not in WORLDS]
    if unknown:
        raise FedsegError(f"there is no world {unknown[0]}; the worlds are {', '.join(WORLDS)}")


@app.command()
def render(
    worlds: Annotated[list[str], typer.Argument(help=f"Worlds: {', '.join(WORLDS)}.")],
    out: Annotated[Path, typer.Option(help="Folder; each world becomes a folder in it.")],
    count: Annotated[int, typer.Option(min=1, help="Images of each world.")] = 700,
    first: Annotated[int, typer.Option(min=0, help="Number of the first image.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
) -> None:
    """Renders images and labels; what is there already is kept.

    An image depends on its world and number alone, so a set can be made in parts.
    """
    _check(worlds)
    start()  # a missing library shows before anything is made
    workers = workers or cpus()
    failed = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        for world in worlds:
            numbers = missing(out / world, range(first, first + count))
            task = progress.add_task(world, total=count, completed=count - len(numbers))
            for number, problem in write(world, out / world, numbers, workers):
                progress.advance(task)
                if problem:
                    failed += 1
                    progress.console.print(f"{world} {number} left out: {problem}", markup=False)
    if failed:
        console.print(f"{failed} streets could not be built; other numbers do not depend on them")


@app.command()
def sheet(
    folder: Annotated[Path, typer.Argument(help="A world's folder.")],
    out: Annotated[Path, typer.Argument(help="The picture to write, PNG or JPEG.")],
    first: Annotated[int, typer.Option(min=0, help="Number of the first image.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="Images.")] = 8,
    columns: Annotated[int, typer.Option(min=1, help="Images in a row.")] = 4,
) -> None:
    """Writes a contact sheet of images above their labels."""
    picture = contact_sheet(folder, first, count, columns)
    try:
        written = cv2.imwrite(str(out), picture)
    except cv2.error:
        written = False
    if not written:
        raise FedsegError(f"cannot write {out}: the name must end in .png or .jpg, in a folder")


@app.command()
def statistics(
    folders: Annotated[list[Path], typer.Argument(help="Worlds' folders.")],
) -> None:
    """Prints how often each class occurs: % of labelled pixels, and % of images that have it."""
    table = Table("class")
    found = [frequencies(folder) for folder in folders]
    for folder in folders:
        table.add_column(folder.name, justify="right")
    for i, name in enumerate(CLASSES):
        cells = [f"{f.pixels[i] * 100:.2f} ({f.present[i] * 100:.0f})" for f in found]
        table.add_row(name, *cells)
    table.add_row("ignored", *(f"{f.ignored * 100:.2f}" for f in found))
    table.add_row("images", *(str(f.images) for f in found))
    console.print(table)


def main() -> None:
    """Runs a command; a user's mistake is one line."""
    try:
        app()
    except FedsegError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
