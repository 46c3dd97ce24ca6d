"""Options that several commands share, and what they mean everywhere."""

from pathlib import Path
from typing import Annotated

import click
import typer
from typer.core import TyperGroup

from fedseg.errors import FedsegError, did_you_mean


def _complete_card(incomplete: str) -> list[str]:
    from fedseg.data.cards import card_names

    return [name for name in card_names() if name.startswith(incomplete)]


def _value(context: typer.Context, name: str) -> str:
    """What a half-typed command gives for a parameter; empty if nothing yet.

    Click leaves arguments unparsed as long as the last option lacks its value.
    """
    arguments = [one.name for one in context.command.params if one.param_type_name == "argument"]
    unparsed = dict(zip(arguments, context.args, strict=False))
    return str(context.params.get(name) or unparsed.get(name) or "")


def complete_split(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the splits of the card that the command is given."""
    from fedseg.data.cards import load_card

    try:
        splits = load_card(_value(context, "card") or _value(context, "dataset")).splits
    except FedsegError:  # not chosen yet
        return []
    return [name for name in splits if name.startswith(incomplete)]


def complete_client(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the clients in the run folder that the command is given."""
    clients = Path(_value(context, "run"), "clients").glob("[!.]*")
    return sorted(path.name for path in clients if path.name.startswith(incomplete))


def refuse_set(settings: list[str], key: str, option: str) -> None:
    """See that no `--set` gives a value that an option gives too, or would.

    Raises:
        FedsegError: one does.
    """
    for setting in settings:
        if setting.partition("=")[0].strip() == key:
            raise FedsegError(f"--set {setting}: {key} is what {option} sets; give that alone")


def _be_quiet(value: bool) -> None:
    from fedseg.cli import console

    console.progress.quiet = value


class Commands(TyperGroup):
    """A group of commands that tells a misspelt one once; Click and Typer would both suggest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first of some words names."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchOption:
            raise
        except click.UsageError:
            near = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"no command '{args[0]}'; {near}", ctx) from None


Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON. Everything else is on stderr.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_be_quiet, help="Show no progress.")]
CARD_HELP = "Dataset card, a name or a file; or MODULE:OBJECT."
CardName = Annotated[
    str,
    typer.Argument(help=CARD_HELP, autocompletion=_complete_card),
]
SomeCard = Annotated[
    str | None,
    typer.Argument(
        help="Tell all about this card; default: a line for each.", autocompletion=_complete_card
    ),
]
CardOption = Annotated[
    str | None,
    typer.Option(help=CARD_HELP, autocompletion=_complete_card),
]
SomeRoot = Annotated[
    Path | None, typer.Argument(help="Folder of the dataset; none for embedded data.")
]
RootOption = Annotated[Path | None, typer.Option(help="Folder of the dataset.")]
Split = Annotated[
    str | None, typer.Option(help="Split of the card.", autocompletion=complete_split)
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="MODULE:OBJECT",
        help="Architecture outside of fedseg that checkpoints may have; imported. May be repeated.",
    ),
]
RayAddress = Annotated[str | None, typer.Option(help="Ray cluster to join, 'auto' or HOST:PORT.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Overrides a key of the file, as in training.iterations=500; may be repeated.",
    ),
]
