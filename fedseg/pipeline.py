"""The server's part, from the clients' checkpoints in a run folder to result.json.

It knows nothing of Flower: whoever has a run folder with clients in it can run it, or run it again.
A stage whose product is there already is not repeated.
"""

import math
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from fedseg import checkpoints, distillation
from fedseg.config import BASELINES, GLOBAL, Evaluation, Federation
from fedseg.data.dataset import open_dataset
from fedseg.errors import RunFailed
from fedseg.evaluation import evaluate
from fedseg.files import digest, read_json, write_json
from fedseg.models import best_device, seeded_build
from fedseg.progress import Progress
from fedseg.runs import Run
from fedseg.target_files import join_student
from fedseg.targets import make_targets


def run_server(run: Run, federation: Federation, progress: Progress) -> dict[str, float]:
    """Fuse, distil, evaluate.

    Returns:
        Seconds that each stage took, by name; 0 for one whose product was there.

    Raises:
        RunFailed: fewer clients than the configuration asks for.
    """
    clients = good_clients(run, federation)
    if len(clients) < federation.min_clients:
        raise RunFailed(
            f"{len(clients)} good uploads, but min_clients = {federation.min_clients}: "
            "nothing to distil from"
        )
    seconds = {}
    stages: dict[str, Callable[[], None]] = {
        "distillation": lambda: distil(run, federation, clients, progress),
        "evaluation": lambda: evaluate_all(run, federation, clients, progress),
    }
    for name, stage in stages.items():
        started = time.monotonic()
        stage()
        seconds[name] = round(time.monotonic() - started, 1)
    return seconds


def good_clients(run: Run, federation: Federation) -> dict[str, Path]:
    """Checkpoint folders of the clients whose upload was accepted, in the configured order."""
    folders = {client.name: run.clients / client.name for client in federation.clients}
    return {name: path for name, path in folders.items() if (path / "client.json").is_file()}


def distil(run: Run, federation: Federation, clients: dict[str, Path], progress: Progress) -> None:
    """Make the soft targets, inconsistency.json and the global model."""
    if run.global_model.is_dir():
        return
    settings = federation.server.distillation
    info = checkpoints.describe(federation.model, settings, _union_coverage(clients))
    images = make_targets(run, federation, clients, info, progress)
    network = starting_point(run, federation, clients)
    share = settings.model_copy(
        update={"iterations": math.ceil(settings.iterations / settings.rounds)}
    )
    # What was begun with other clients, before one more answered, is not gone on with.
    of = digest(*(read_json(client / "client.json")["sha256"] for client in clients.values()))
    folder = run.targets
    for turn in range(settings.rounds):
        student = run.state / f"student-{of}-{turn}"
        if turn > 0:
            folder = run.targets / f"round-{turn}"
            before = run.state / f"student-{of}-{turn - 1}"
            said = run.predictions / before.name
            join_student(before, run.targets, folder, said, images, progress)
        if not student.is_dir():
            state = run.state / f"distillation-{of}-{turn}.safetensors"
            told = partial(progress, "distillation")
            seed = federation.seed + turn
            curve = run.curve(f"{GLOBAL}@{turn + 1}")
            distillation.distil(images, folder, network, info, share, seed, state, told, curve)
            checkpoints.save(student, network, info)
        network = checkpoints.load(student)[0]
    checkpoints.save(run.global_model, network, info)
    remove_working_files(run)


def remove_working_files(run: Run) -> None:
    """Remove what is large and can be made again."""
    for working in (run.predictions, run.targets, run.baseline("targets")):
        shutil.rmtree(working, ignore_errors=True)


def starting_point(run: Run, federation: Federation, clients: dict[str, Path]) -> nn.Module:
    """The model that distillation starts from.

    Of the clients that have the global model's architecture, it is the one that agrees most with
    the others: no label is needed to choose it, and the steps that would teach a new decoder what a
    road is are saved. Where no client has that architecture, it is an untrained model.
    """
    kind = (federation.model.arch, federation.model.encoder)
    infos = {name: checkpoints.load_info(folder) for name, folder in clients.items()}
    alike = [name for name, info in infos.items() if (info.arch, info.encoder) == kind]
    if not alike:
        return seeded_build(federation.model, federation.seed)
    agreement = read_json(run.inconsistency)["agreement"]
    chosen = max(alike, key=lambda name: agreement[name] or 0.0)
    return checkpoints.load(clients[chosen])[0]


def models(run: Run, clients: dict[str, Path]) -> dict[str, Path]:
    """Checkpoint folders of everything to be scored."""
    folders = clients | {name: run.baseline(name) for name in BASELINES}
    folders |= {GLOBAL: run.global_model}
    return {name: folder for name, folder in folders.items() if folder.is_dir()}


def evaluate_all(
    run: Run, federation: Federation, clients: dict[str, Path], progress: Progress
) -> None:
    """Score every model on every evaluation set, one JSON file each."""
    for name, folder in models(run, clients).items():
        todo = [s for s in federation.evaluation if not run.score(name, s.name).is_file()]
        if todo:
            evaluate_model(run, name, folder, todo, progress)


def evaluate_model(
    run: Run, name: str, folder: Path, sets: list[Evaluation], progress: Progress
) -> None:
    """Score one model on some evaluation sets."""
    score_network(run, name, *checkpoints.load(folder, best_device()), sets, progress)


def score_network(
    run: Run,
    name: str,
    network: nn.Module,
    info: checkpoints.Info,
    sets: list[Evaluation],
    progress: Progress,
) -> None:
    """Score a model in memory on some evaluation sets, one JSON file each."""
    for chosen in sets:
        dataset = open_dataset(chosen)
        told = partial(progress, f"{name} on {chosen.name}")
        score = evaluate(network, info, dataset, chosen.protocol, told)
        write_json(run.score(name, chosen.name), {"model": name, **score})


def _coverage(checkpoint: Path) -> set[int]:
    return set(checkpoints.load_info(checkpoint).coverage)


def _union_coverage(clients: dict[str, Path]) -> tuple[int, ...]:
    """The classes that at least one client knows: all that the global model can have learnt."""
    return tuple(sorted(set().union(*map(_coverage, clients.values()))))
