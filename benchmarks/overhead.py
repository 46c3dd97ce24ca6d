"""What Flower, Ray and process starts cost: `fedseg simulate` against the same work in one process.

Both train the same clients, distill and evaluate, from one configuration and to the same scores.
The data is rendered and surveyed beforehand, so that neither is charged for it.

    python benchmarks/overhead.py [CONFIG]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from fedseg import config
from fedseg.files import EMBEDDED, read_json
from fedseg.models.checkpoints import StoredWeights
from fedseg.participants.client import train_client
from fedseg.participants.uploads import store_upload
from fedseg.planning.preflight import find_problems
from fedseg.planning.resources import share_machine
from fedseg.run.folder import open_run
from fedseg.run.progress import FileProgress, silent
from fedseg.run.result import gather_result
from fedseg.run.uploads import read_upload
from fedseg.workflows.server import run_server

ALLOWED_RATIO, ALLOWED_START = 1.15, 20.0


def main(
    federation: Annotated[Path, typer.Argument()] = EMBEDDED, plain_out: Path | None = None
) -> None:
    """Measure both, or, as the second process, do the plain one's work in `plain_out`."""
    if plain_out:
        run_plainly(federation, plain_out)
        return
    for problem in find_problems(config.load(federation), silent):
        raise problem
    fedseg = str(Path(sys.executable).parent / "fedseg")
    with tempfile.TemporaryDirectory() as folder:
        plain, simulated = Path(folder) / "plain", Path(folder) / "simulated"
        plainly = timed([sys.executable, __file__, str(federation), "--plain-out", str(plain)])
        flower = timed([fedseg, "simulate", str(federation), "--out", str(simulated)])
        same = read_json(plain / "result.json")["evaluation"]
        assert read_json(simulated / "result.json")["evaluation"] == same, "scores differ"
    allowed = ALLOWED_RATIO * plainly + ALLOWED_START
    Console().print(
        f"one plain process: {plainly:.0f} s; fedseg simulate: {flower:.0f} s, "
        f"{(flower - ALLOWED_START) / plainly:.2f} of it, less {ALLOWED_START:.0f} s to start; "
        f"allowed: {allowed:.0f} s; scores equal"
    )
    raise typer.Exit(flower > allowed)


def run_plainly(path: Path, out: Path) -> None:
    """A federation in this process, without Flower: clients one after another, then the server."""
    federation = config.load(path)
    run = open_run(out, federation)
    cores = torch.get_num_threads()
    # As many threads as a simulated client gets: another number gives other roundings.
    torch.set_num_threads(share_machine(len(federation.clients)).cpus_per_client)
    for client in federation.clients:
        progress = FileProgress(run.progress, client.name)
        folder = train_client(client, federation.seed, run.state / client.name, progress)
        store_upload(run, read_upload(folder), StoredWeights(folder))
    torch.set_num_threads(cores)
    seconds = run_server(run, federation, FileProgress(run.progress, "server"))
    gather_result(run, federation, "completed", {}, seconds).write(run.result)


def timed(command: list[str]) -> float:
    """Seconds that a command takes."""
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


if __name__ == "__main__":
    typer.run(main)
