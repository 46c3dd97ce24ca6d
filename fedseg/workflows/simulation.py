"""A federation on this machine, from its configuration to its result table."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from fedseg.config import Federation
from fedseg.errors import FedsegError, RunFailed, without_remedy
from fedseg.files import app_dir
from fedseg.flower.context import participants, workers
from fedseg.flower.supervisor import Simulation
from fedseg.planning.quick_checks import check_start
from fedseg.run.clients import good_clients
from fedseg.run.folder import FLOWER_STATE, Run, in_use, open_run
from fedseg.run.progress import Progress, follow, read_all, silent
from fedseg.run.records import Result
from fedseg.storage import provenance


def simulate(
    federation: Federation,
    out: Path | str,
    progress: Progress = silent,
    ray_address: str | None = None,
) -> Result:
    """Run a federation on this machine, or go on with an interrupted run.

    A run that was completed before is not repeated.

    Args:
        federation: a checked configuration.
        out: run folder.
        progress: receives the state of everyone's work.
        ray_address: Ray cluster to join, "auto" or HOST:PORT; None: this machine alone.

    Raises:
        FedsegError: something is wrong with the configuration or the data; nothing was trained.
        RunFailed: the federation did not reach its end.

    Examples:
        >>> import fedseg
        >>> federation = fedseg.load_federation("federation.toml")
        >>> result = fedseg.simulate(federation, "runs/embedded")
        >>> result.status, sorted(result.clients)
        ('completed', ['boulevard', 'oldtown', 'suburb'])
    """
    out = Path(out)
    check_start(federation, out, ray_address)
    from fedseg.planning import preflight  # these import torch
    from fedseg.planning.disk import check_room
    from fedseg.planning.resources import supply
    from fedseg.planning.sources import update_sources

    supply(ray_address)  # raises where there is no such cluster
    for problem in preflight.problems(federation, progress):
        raise problem
    if not Run(out).result.is_file():
        check_room(federation, out)
    run = open_run(out, federation)
    with in_use(run):
        if update_sources(run, federation) or not _is_complete(run, federation):
            federate(run, federation, progress, ray_address)
    return Result.read(run.result)


def _is_complete(run: Run, federation: Federation) -> bool:
    """Whether a run has ended and its models are as they were then."""
    if not run.result.is_file():
        return False
    try:
        if not Result.read(run.result).is_complete:
            return False
        good_clients(run, federation)
        provenance.verify(run.global_model)
    except FedsegError as error:
        provenance.notices.warning("%s; bringing the run up to date", without_remedy(error))
        return False
    return run.global_model.is_dir()


def federate(
    run: Run, federation: Federation, progress: Progress, ray_address: str | None = None
) -> None:
    """Run the Flower app until its ServerApp has written result.json."""
    from fedseg.planning.resources import share
    from fedseg.planning.whole_progress import WholeRun

    run.result.unlink(missing_ok=True)
    run.notices.unlink(missing_ok=True)
    shutil.rmtree(run.progress, ignore_errors=True)
    nodes = len(participants(federation))
    shares = share(nodes, ray_address)
    simulation = Simulation(
        app_dir(),
        {"federation": str(run.config), "out": str(run.path)},
        nodes=nodes,
        log=run.log,
        cpus=shares.cpus,
        cpus_per_client=shares.cpus_per_client,
        gpus_per_client=shares.gpus_per_client,
        ray_address=ray_address,
        shared=run.state / FLOWER_STATE,
    )
    progress = WholeRun(federation, progress)
    notices = follow_notices(run)
    progress("starting Flower and Ray", 0, 1, name="server")
    with simulation:
        while simulation.running() and not run.result.is_file():
            follow(progress, read_all(run.progress), workers(federation))
            next(notices)
            time.sleep(0.2)
        follow(progress, read_all(run.progress), workers(federation))
    next(notices)
    if not run.result.is_file():
        raise RunFailed(str(simulation.error()))
    result = Result.read(run.result)
    if not result.is_complete:
        raise RunFailed(f"{result.failed_clients()}{result.error} (log: {run.log})")
    shutil.rmtree(run.state, ignore_errors=True)


def follow_notices(run: Run) -> Iterator[None]:
    """Repeat, at each step, the notices that the server's process has written since the last."""
    shown = 0
    while True:
        lines = run.notices.read_text("utf-8").splitlines() if run.notices.is_file() else []
        for line in lines[shown:]:
            provenance.notices.warning("%s", line)
        shown = len(lines)
        yield
