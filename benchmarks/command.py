"""How a benchmark starts: as the `fedseg` command does."""

import os
import sys
from collections.abc import Callable

import typer

from fedseg.errors import FedsegError


def start(main: Callable[..., None]) -> None:
    """Call `main` with what the command line says; a user's mistake is one line."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        typer.run(main)
    except FedsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
