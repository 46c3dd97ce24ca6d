"""Options that several commands share, and what they mean everywhere."""

from pathlib import Path
from typing import Annotated

import typer


def _complete_card(incomplete: str) -> list[str]:
    from fedseg.data.cards import card_names

    return [name for name in card_names() if name.startswith(incomplete)]


def _be_quiet(value: bool) -> None:
    from fedseg.cli import console

    console.progress.quiet = value


Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON. Everything else is on stderr.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_be_quiet, help="Show no progress.")]
CardName = Annotated[
    str,
    typer.Argument(help="Dataset card: a name, or a file.", autocompletion=_complete_card),
]
SomeCard = Annotated[
    str | None,
    typer.Argument(
        help="Tell all about this card; default: a line for each.", autocompletion=_complete_card
    ),
]
CardOption = Annotated[
    str | None,
    typer.Option(help="Dataset card: a name, or a file.", autocompletion=_complete_card),
]
Root = Annotated[Path, typer.Argument(help="Folder of the dataset.")]
RootOption = Annotated[Path | None, typer.Option(help="Folder of the dataset.")]
Split = Annotated[str | None, typer.Option(help="Split of the card.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Overrides a key of the file, as in training.iterations=500; may be repeated.",
    ),
]
