"""The command line."""

# Torch takes seconds to import. Help and a mistake in a file should not wait for it, so each
# command imports what it needs itself, and what needs torch after its files are checked.

import importlib.metadata
import io
import logging
import os
import re
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from fedseg.cli.console import NoticeHandler
from fedseg.cli.data import data
from fedseg.cli.deploy import deploy
from fedseg.cli.models import models
from fedseg.cli.options import (
    Commands,
    Json,
    Quiet,
    RayAddress,
    Settings,
    complete_client,
    refuse_set,
)
from fedseg.errors import FedsegError, RunFailed, plain
from fedseg.files import explain_os_error, is_disk_full
from fedseg.flower.supervisor import direct_loopback

INTERRUPTED = 130
"""Exit status with which Typer ends after Ctrl-C."""

app = typer.Typer(
    cls=Commands,
    help="""Federated learning for synthetic-to-real segmentation of driving scenes.

    Example: `fedseg simulate` runs a whole federation on embedded data.""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"fedseg {importlib.metadata.version('fedseg')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(metavar="LEVEL", help="Level of logs: debug, info, warning or error."),
    ] = None,
) -> None:
    if log_level:
        os.environ["FLWR_LOG_LEVEL"] = log_level.upper()
        logging.basicConfig(level=log_level.upper(), stream=sys.stderr)


def main() -> None:
    """Entry point of the `fedseg` command: a user's mistake is one line, never a traceback."""
    # OpenMP's threads spin while they wait. On a machine that does anything else besides, that
    # makes training up to 20 times slower; asleep, they cost next to nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    logging.getLogger("fedseg.notices").addHandler(NoticeHandler())
    for stream in (sys.stdout, sys.stderr):  # a terminal may know fewer characters than a name has
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ.update(direct_loopback())
    try:
        app()
    except FedsegError as error:
        print(f"error: {plain(error)}", file=sys.stderr)
        sys.exit(1 if isinstance(error, RunFailed) else 2)
    except OSError as error:  # a file or the network; all else is a fault of fedseg's
        if error.filename is None and not is_disk_full(error):
            raise
        print(f"error: {plain(explain_os_error(error))}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("interrupted; the same command resumes where this one stopped", file=sys.stderr)
        raise


@app.command()
def simulate(
    config: Annotated[
        Path | None, typer.Argument(help="Federation file; default: the embedded streetsim one.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder; default: runs/NAME for NAME.toml, or runs/NAME-2, ..."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the file's seed.")] = None,
    settings: Settings = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run a federation on this machine, or on a Ray cluster.

    Flower's simulation engine runs the clients on Ray.

    Example: `fedseg simulate examples/rendered-to-real.toml --out runs/first`
    """
    from fedseg import config as configuration
    from fedseg.cli import console
    from fedseg.cli.tables import remarks, result_table
    from fedseg.files import EMBEDDED
    from fedseg.run.folder import free_folder
    from fedseg.workflows.simulation import simulate as run_simulation

    path = config or EMBEDDED
    settings = settings or []
    if seed is not None:
        refuse_set(settings, "seed", "--seed")
    federation = configuration.load(path, settings=settings)
    if seed is not None:
        federation = configuration.with_seed(federation, seed)
    out = out or free_folder(Path("runs") / path.stem, federation)
    with console.Bars() as bars:
        bars.wait()
        result = run_simulation(federation, out, bars, ray_address)
    lines = [*remarks(result), *console.run_locations(out)]
    console.answer(json, result.content(), result_table(result), *lines)


@app.command()
def check(
    config: Annotated[
        Path | None, typer.Argument(help="Federation file; default: the embedded streetsim one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders will be.")] = Path("runs"),
    settings: Settings = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Check a federation, and estimate what a simulation of it takes.

    Every key, file and model is checked, each model at each image size that it will see; what takes
    long only once all else is right. Times come from short trials. Exits with status 2 if anything
    is wrong.

    Example: `fedseg check examples/embedded.toml`
    """
    from fedseg import config as configuration
    from fedseg.cli import console
    from fedseg.cli.tables import stage_table
    from fedseg.files import EMBEDDED
    from fedseg.planning.check import check_federation

    path = config or EMBEDDED
    federation = configuration.load(path, settings=settings or [])
    with console.Bars() as bars:
        bars.wait()
        report = check_federation(federation, out, bars, ray_address)
    lines = [f"problem: {problem}" for problem in report.problems]
    lines += [f"note: {note}" for note in report.notes]
    lines += [f"licence of the {what}: {licence}" for what, licence in report.licences.items()]
    if not report.problems:
        lines.append("nothing is wrong")
    tables = [stage_table(report.stages)] if report.stages else []
    console.answer(json, report.content(), *tables, *lines)
    if report.problems:
        raise typer.Exit(2)


@app.command()
def audit(
    path: Annotated[Path, typer.Argument(help="An audit.jsonl, or the folder that holds it.")],
    json: Json = False,
) -> None:
    """Print an audit log and verify its hash chain.

    Runs, servers and nodes keep one each.

    Example: `fedseg audit runs/first`
    """
    from fedseg.cli import console
    from fedseg.cli.tables import audit_table
    from fedseg.storage.audit import AUDIT, read_audit

    file = path / AUDIT if path.is_dir() else path
    entries = list(read_audit(file))
    last = entries[-1]["hash"] if entries else "-"
    notify = f"{file}: {len(entries)} lines, none changed or removed; the last one's hash is {last}"
    console.answer(json, entries, audit_table(entries), notify)


@app.command()
def distill(
    run: Annotated[Path, typer.Argument(help="Run folder whose clients to use.")],
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave this client out.", autocompletion=complete_client),
    ] = None,
    late: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Add this client's checkpoint folder, or hf://REPO."),
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="New run folder; default: a name that says what changed.")
    ] = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make a new global model from saved clients.

    Without one, with a late one, or with other settings.

    Example: `fedseg distill runs/first --without suburb`
    """
    from fedseg.cli import console
    from fedseg.cli.tables import remarks, result_table
    from fedseg.data.shards import joined
    from fedseg.workflows.redistillation import redistill

    changes = [f"without-{name}" for name in without or []]
    changes += [f"with-{folder.name}" for folder in late or []]
    changes += [re.sub(r"[^\w.=-]+", "_", setting) for setting in settings or []]
    out = out or run.with_name("-".join([run.name, *(changes or ["again"])]))
    with console.Bars() as bars, joined(ray_address):
        notify = partial(bars, name="server")
        result = redistill(
            run,
            out,
            without=without or [],
            joiners=late or [],
            settings=settings or [],
            progress=notify,
        )
    lines = [*remarks(result), *console.run_locations(out)]
    console.answer(json, result.content(), result_table(result), *lines)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds run folders.")] = Path("runs"),
    json: Json = False,
) -> None:
    """List run folders, with status, seed and scores.

    Example: `fedseg runs`
    """
    from fedseg.cli import console
    from fedseg.cli.tables import runs_table
    from fedseg.run.listing import list_runs

    found = list_runs(folder)
    console.answer(json, [run.content() for run in found], runs_table(folder, found))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folder, or several.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write; default: report.html in the run folder, or side-by-side.html here."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Show the run in a browser while it goes on."),
    ] = False,
) -> None:
    """Write a run's report anew, or several runs side by side: one HTML file.

    Every run ends with a report; after `fedseg compare` there is more to tell. The page of --watch
    shows everybody's progress, and becomes the report at the end; this machine alone reaches it.
    Ctrl-C ends it, and leaves the run alone.

    Example: `fedseg report runs/first`
    """
    if watch:
        _watch(runs, out)
        return
    from fedseg.cli import console
    from fedseg.report.side_by_side import write_side_by_side
    from fedseg.report.write import report_on

    with console.Bars() as bars:
        if len(runs) > 1:
            written = write_side_by_side(runs, out or Path("side-by-side.html"), bars)
        else:
            written = report_on(runs[0], out, bars)
    console.show(f"report: {written}")


def _watch(runs: list[Path], out: Path | None) -> None:
    """Serve a run as a page until Ctrl-C."""
    if out or len(runs) > 1:
        raise FedsegError(
            "--watch shows one run and writes no file; leave out --out and the others"
        )
    from fedseg.cli import console
    from fedseg.flower.loopback import check_loopback
    from fedseg.report.live import make_server

    check_loopback()
    with make_server(runs[0]) as server:
        url = f"http://localhost:{server.server_port}/"
        console.show_line(f"{url} shows {runs[0]}; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            raise typer.Exit from None


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders that share evaluation sets.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the table, as Markdown and LaTeX.")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="Baseline of your own, module:object; may be repeated."),
    ] = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare runs with each other and with baselines.

    The baselines are FedAvg, FedDF, the ensemble, centralized training, and each client distilled
    alone.

    Runs that differ in the seed only are averaged; other configurations get rows of their own. What
    is missing is trained and scored, and kept in the run folders, whose reports are written anew.

    Example: `fedseg compare runs/seed0 runs/seed1 runs/seed2`
    """
    from fedseg.cli import console
    from fedseg.cli.tables import rich_table
    from fedseg.data.shards import joined
    from fedseg.files import check_writable
    from fedseg.workflows.comparison import compare as compare_runs

    if out:
        check_writable(out)
    with console.Bars() as bars, joined(ray_address):
        table = compare_runs(runs, bars, baseline or [])
    if out:
        table.write(out)
    console.answer(json, asdict(table), rich_table(table))


# What other modules hold comes last in the help.
app.add_typer(models)
app.add_typer(data, name="data")
app.add_typer(deploy, name="deploy")
