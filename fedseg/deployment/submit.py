"""Runs a federation on a deployed server: submits it, follows it, fetches what comes of it."""

import itertools
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from fedseg import config
from fedseg.config import Federation, Name, Section
from fedseg.deployment.control import Server
from fedseg.errors import FedsegError, RunFailed, did_you_mean
from fedseg.flower.context import participants, workers
from fedseg.run.folder import Run
from fedseg.run.progress import Progress, follow, silent
from fedseg.run.records import Result

POLL, ALIVE_POLL = 1.0, 5
"""Seconds between two looks at a run, and looks between two questions whether it is still going."""
MOST_MISSES = 10
"""Looks in a row that may fail: a busy server answers late, one that was killed not at all."""


class _Named(Section):
    name: Name


def run_on(
    server: Server, federation: Federation, out: Path, progress: Progress = silent
) -> tuple[Result, str]:
    """Run a federation on a server, or go on with one of the same name.

    Args:
        server: where to.
        federation: a checked configuration; paths in it are paths on the server.
        out: folder for the results; its name is the run's name on the server.
        progress: receives the state of everyone's work.

    Returns:
        The result, and the run folder on the server, where clients' models are.

    Raises:
        FedsegError: the server can't be reached, refuses, or is busy with another run.
        RunFailed: the federation did not reach its end.
    """
    name = config.parse(_Named, {"name": out.absolute().name}, Path("--out")).name
    check_registered(server, federation)
    settings = server.lay_down(name, config.dump(federation))
    run_id = _start(server, settings)
    try:
        _follow(server, run_id, name, federation, progress)
    except KeyboardInterrupt:
        print(f"run {run_id} goes on; the same command follows it again", file=sys.stderr)
        raise
    content = server.look(name)["result"]
    _fetch(server, name, out)
    if content is None:
        raise RunFailed(f"run {run_id} ended without a result; the server's log says why")
    result = Result.parse(content, Run(out).result)
    if not result.is_complete:
        raise RunFailed(f"{result.failed_clients()}{result.error}")
    return result, settings["out"]


def check_registered(server: Server, federation: Federation) -> None:
    """See that the server knows a node for everybody in a federation.

    Raises:
        FedsegError: it knows none of that name, which may be a slip.
    """
    known = server.nodes()
    for participant in participants(federation):
        if participant.name not in known:
            hint = did_you_mean(participant.name, known) if known else "no node is registered"
            raise FedsegError(
                f"the server knows no node '{participant.name}'; {hint}; "
                "its owner lets one in with `fedseg deploy nodes --add`"
            )


def _start(server: Server, settings: dict[str, str]) -> int:
    """Start the run, or find it where it is going already."""
    for run_id, active in server.active_runs().items():
        if active.get("out") == settings["out"]:
            return run_id
        raise FedsegError(
            f"the server is busy with run {run_id} ({Path(str(active.get('out'))).name}); wait for "
            "its end"
        )
    return server.start(settings)


def _follow(
    server: Server, run_id: int, name: str, federation: Federation, progress: Progress
) -> None:
    """Show how far everyone is until the run has ended."""
    misses = 0
    for look in itertools.count():
        try:
            is_over = look % ALIVE_POLL == 0 and run_id not in server.active_runs()
            states: dict[str, Any] = server.look(name)["progress"]
        except FedsegError:
            misses += 1
            if misses > MOST_MISSES:
                raise
        else:
            misses = 0
            follow(progress, states, workers(federation))
            if is_over:
                return
        time.sleep(POLL)


def _fetch(server: Server, name: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".fetch-") as scratch:
        archive = Path(scratch) / "results.zip"
        server.fetch(name, archive)
        with zipfile.ZipFile(archive) as content:
            content.extractall(out)
