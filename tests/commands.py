"""Commands as documents show them: found, and parsed as the command line would, but not run."""

import re
import shlex

import click
import typer

from fedseg.cli import main

ROOT = typer.main.get_command(main.app)


def _walk(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inside = command.commands if isinstance(command, click.Group) else {}
    return [words, *(w for name, sub in inside.items() for w in _walk(sub, (*words, name)))]


COMMANDS = _walk(ROOT)
"""Every command there is, as the words after `fedseg`."""


def is_group(command: tuple[str, ...]) -> bool:
    return isinstance(find(command), click.Group)


def examples(command: tuple[str, ...]) -> list[str]:
    """The examples in a command's help."""
    return re.findall(r"Example:\s+`([^`]+)`", find(command).help or "")


def find(command: tuple[str, ...]) -> click.Command:
    found: click.Command = ROOT
    for word in command:
        found = found.commands[word]
    return found


def parse(line: str) -> None:
    """See that a line is a command of fedseg's, with arguments and options that it has.

    Raises:
        click.UsageError: it is not.
    """
    first, *words = shlex.split(line, comments=True)
    assert first.endswith("fedseg"), line
    command, context = ROOT, None
    while True:
        context = command.make_context(command.name or "fedseg", list(words), parent=context)
        if not isinstance(command, click.Group):
            return
        _, command, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
