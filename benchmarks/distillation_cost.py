"""What distillation costs by the number of clients: a step, making the targets, memory.

The clients are untrained models of the configuration's kind, which costs the server as much as
trained ones. A step is compared with the same model's supervised step on the same images, which
takes turns with it, so that a machine whose speed drifts favours neither.

    python benchmarks/distillation_cost.py [CONFIG] [--clients 2 --clients 16] [--fusion features]
"""

import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from command import start
from rich.console import Console

from fedseg import config
from fedseg.config import Client, Federation, SupervisedTraining
from fedseg.data.dataset import open_dataset
from fedseg.data.survey import survey, train_id_counts
from fedseg.files import EMBEDDED
from fedseg.method.context import open_context
from fedseg.method.pipeline import make_global_model
from fedseg.models import checkpoints
from fedseg.models.build import best_device, seeded_build
from fedseg.run.folder import Run, open_run
from fedseg.run.uploads import Upload
from fedseg.storage.hashes import content_hash
from fedseg.training.callbacks import ReportProgress
from fedseg.training.loop import TrainingRun
from fedseg.training.supervised import train_supervised


def main(
    federation: Annotated[Path, typer.Argument()] = EMBEDDED,
    clients: Annotated[list[int], typer.Option(help="Give several times.")] = [2, 16],  # noqa: B006
    iterations: int = 40,
    rounds: int = 3,
    fusion: str = "mean",
) -> None:
    """Print ratios to the supervised step, seconds and megabytes, for each number of clients."""
    say = Console().print
    for count in clients:
        steps, peaks, making = [], [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                asked = (federation, count, iterations, fusion)
                supervised = apart(supervised_step, *asked)
                step, seconds, peak = apart(server_part, *asked, Path(folder))
            steps.append(step / supervised)
            making.append(seconds)
            peaks.append(peak)
        say(
            f"{count:3} clients: a step {statistics.median(steps):.2f} supervised ones "
            f"({min(steps):.2f} to {max(steps):.2f}), targets {statistics.median(making):.0f} s, "
            f"peak memory {statistics.median(peaks):.0f} MB"
        )


def apart(function, *arguments):
    """Call a function in a process of its own, so that memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def server_part(
    path: Path, count: int, iterations: int, fusion: str, folder: Path
) -> tuple[float, float, float]:
    """Seconds of a step, seconds until the first step, and peak memory in MB."""
    federation = with_clients(path, count, iterations, fusion)
    run = open_run(folder / "run", federation)
    for number, client in enumerate(federation.clients):
        save_untrained(run, client, number)
    ticks: list[float] = []
    started = time.perf_counter()

    def notify(stage: str, done: int, total: int, /, **_: Any) -> None:
        if stage == "distillation":
            ticks.append(time.perf_counter())

    make_global_model(open_context(run, federation, notify))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return step_seconds(ticks), ticks[0] - started, peak


def supervised_step(path: Path, count: int, iterations: int, fusion: str) -> float:
    """Seconds of the global model's supervised step, on the first client's data."""
    federation = with_clients(path, count, iterations, fusion)
    dataset = open_dataset(federation.clients[0])
    counts = train_id_counts(dataset, survey(dataset))
    ticks: list[float] = []
    settings = SupervisedTraining(**federation.server.distillation.training.model_dump())
    tick = lambda *_, **__: ticks.append(time.perf_counter())  # noqa: E731
    run = TrainingRun(
        settings=settings, seed=0, device=best_device(), callbacks=(ReportProgress(tick),)
    )
    train_supervised([dataset], [counts], federation.model, run, run.seed)
    return step_seconds(ticks)


def step_seconds(ticks: list[float]) -> float:
    """The median step."""
    return statistics.median(after - before for before, after in pairwise(ticks))


def with_clients(path: Path, count: int, iterations: int, fusion: str) -> Federation:
    """The federation with that many clients, copies of its first one."""
    data = config.load(path).model_dump()
    names = [f"client{number}" for number in range(count)]
    data["clients"] = [data["clients"][0] | {"name": name} for name in names]
    distillation = data["server"]["distillation"]
    distillation["fusion"] = fusion
    distillation["training"]["iterations"] = iterations
    return Federation.model_validate(data)


def save_untrained(run: Run, client: Client, seed: int) -> None:
    """An upload as if the client had trained."""
    network = seeded_build(client.model, seed).eval()
    info = checkpoints.describe(client.model, client.training)
    upload = Upload(
        name=client.name,
        dataset=client.dataset,
        info=info,
        images=1,
        iterations=1,
        seconds=0,
        bytes=1,
        sha256=content_hash(network.state_dict()),
    )
    checkpoints.save(
        run.clients / client.name, network, info, client=upload.model_dump(mode="json")
    )


if __name__ == "__main__":
    start(main)
