"""The server's part, from the clients' checkpoints in a run folder to result.json.

It knows nothing of Flower: it needs a run folder with clients in it, and can be repeated. A product
that is there already is made again only if its inputs changed.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from fedseg.config import GLOBAL, Federation, plugins_of_server
from fedseg.data.dataset import open_dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.errors import ModelError, RunFailed
from fedseg.evaluation.scores import kept_or_scored, score_inputs
from fedseg.extras.diffusion import checkpoint_identity
from fedseg.files import digest
from fedseg.method.students import Starts, Student, load_network
from fedseg.method.targets import Labelling, make_targets
from fedseg.method.votes import votes
from fedseg.models import checkpoints
from fedseg.models.build import model_inputs, seeded_build
from fedseg.models.exported import open_here
from fedseg.report import figures
from fedseg.run.clients import good_clients
from fedseg.run.folder import CENTRALIZED, Run
from fedseg.run.progress import Progress
from fedseg.run.records import Inconsistency
from fedseg.run.result import model_names, scores
from fedseg.storage.hashes import file_hashes
from fedseg.storage.provenance import is_product, notices
from fedseg.training.tracking import trackers


def run_server(run: Run, federation: Federation, progress: Progress) -> dict[str, float]:
    """Fuse, distill, evaluate.

    Returns:
        Seconds that each stage took, by name; 0 for one whose product was there.

    Raises:
        RunFailed: fewer clients than the configuration asks for.
    """
    clients = good_clients(run, federation)
    if len(clients) < federation.min_clients:
        raise RunFailed(
            f"{len(clients)} good uploads, but min_clients = {federation.min_clients}: "
            "nothing to distill from"
        )
    seconds = {}
    stages: dict[str, Callable[[], None]] = {
        "distillation": lambda: distill(run, federation, clients, progress),
        "evaluation": lambda: evaluate_all(run, federation, clients, progress),
    }
    for name, stage in stages.items():
        started = time.monotonic()
        stage()
        seconds[name] = round(time.monotonic() - started, 1)
    _log_scores(run, federation)
    return seconds


def _log_scores(run: Run, federation: Federation) -> None:
    """Give the mIoU of every model on every set to the trackers."""
    found = {
        f"mIoU/{chosen}/{model}": score.miou
        for model, row in scores(run, federation).items()
        for chosen, score in row.items()
        if score.miou is not None
    }
    for tracker in trackers(federation.tracking, run.tracking, run.path.name, "scores"):
        tracker.on_start([])
        tracker.log(federation.server.distillation.iterations, found)
        tracker.close()


def distill(run: Run, federation: Federation, clients: dict[str, Path], progress: Progress) -> None:
    """Make the soft targets, inconsistency.json and the global model.

    Nothing is done if they are there already, made from the same clients, images and settings.
    """
    inputs = distillation_inputs(run, federation, clients)
    has_model = is_product(run.global_model, inputs)
    if has_model and Inconsistency.read_if_made_from(run.inconsistency, inputs):
        return
    # What was made from the clients and images of before.
    run.forget({*model_names(federation, run)} - {*clients, CENTRALIZED, GLOBAL})
    info = checkpoints.describe(
        federation.model, federation.server.distillation, _union_coverage(clients)
    )
    targets = run.targets / digest(inputs) / "fused"
    labelling = Labelling(
        run=run,
        federation=federation,
        clients=clients,
        student=info,
        progress=progress,
    )
    images, content = make_targets(labelling, targets, inputs)
    figure = figures.inconsistency_figure(content)
    figures.save(figure, run.inconsistency.with_suffix(".png"))
    student = Student(
        run=run,
        federation=federation,
        settings=federation.server.distillation,
        info=info,
        name=GLOBAL,
        title="distillation",
        inputs=inputs,
        progress=progress,
    )
    # No label is needed to choose the client that agrees most with the others.
    network = student.train(images, targets, starting_points(content.ranked, federation, clients))
    checkpoints.save(run.global_model, network, info, inputs)
    _log_global(run, clients, content)
    remove_working_files(run)


def _log_global(run: Run, clients: dict[str, Path], content: Inconsistency) -> None:
    """Note which uploads the global model was made from, and which were left out."""
    [weights] = file_hashes([run.global_model / checkpoints.WEIGHTS])
    used = {name: checkpoints.identity(clients[name])[0] for name in content.clients}
    left_out = {name: checkpoints.identity(clients[name])[0] for name in content.suspects}
    run.audit.add("global model made", weights=weights, clients=used, left_out=left_out)


def distillation_inputs(
    run: Run, federation: Federation, clients: dict[str, Path]
) -> dict[str, Any]:
    """All that the targets and the global model are made from."""
    server = federation.server
    images = data_inputs(open_dataset(server, labelled=False))["images"]
    model = federation.model
    # An untrained model is the start only where no client has its architecture.
    starts_from_client = _clients_of_architecture(federation, clients)
    augmentation = server.augmentation.model_dump(mode="json")
    if server.augmentation.generator == "diffusion":
        augmentation["model"] = checkpoint_identity(server.augmentation.model)
    plugins = plugins_of_server(server)
    return {
        "clients": {name: checkpoints.identity(folder) for name, folder in clients.items()},
        "images": images,
        "cross-site evaluation": digest(votes(run, list(clients), federation.classes).tolist()),
        "labelling": server.labelling.model_dump(mode="json"),
        "augmentation": augmentation,
        "distillation": server.distillation.model_dump(mode="json"),
        "model": model.model_dump(mode="json", exclude={"encoder_weights"})
        if starts_from_client
        else model_inputs(model),
        "seed": federation.seed,
        **({"plugins": plugins} if plugins else {}),
    }


def remove_working_files(run: Run) -> None:
    """Remove what is large and can be made again."""
    for working in (run.predictions, run.targets, run.baseline("targets")):
        shutil.rmtree(working, ignore_errors=True)


def starting_points(
    ranked: Sequence[str], federation: Federation, clients: dict[str, Path]
) -> Starts:
    """The models that a distillation may start from, the best first, by what they are.

    Of the teachers, those that have the global model's architecture: the steps that would teach a
    new decoder what a road is are saved. Last comes an untrained model.

    Args:
        ranked: names of the teachers, the best first.
        federation: the configuration.
        clients: checkpoint folders by name.
    """
    alike = _clients_of_architecture(federation, clients)
    starts: Starts = {
        f"client '{name}'": partial(load_network, clients[name]) for name in ranked if name in alike
    }
    starts["an untrained model"] = lambda: seeded_build(federation.model, federation.seed)
    return starts


def _clients_of_architecture(federation: Federation, clients: dict[str, Path]) -> list[str]:
    """Names of the clients that have the global model's architecture."""
    infos = {name: checkpoints.load_info(folder) for name, folder in clients.items()}
    return [name for name, info in infos.items() if info.model == federation.model.plain]


def models(run: Run, clients: dict[str, Path]) -> dict[str, Path]:
    """Checkpoint folders of everything to be scored."""
    folders = clients | {name: run.baseline(name) for name in run.baselines()}
    return folders | ({GLOBAL: run.global_model} if run.global_model.is_dir() else {})


def evaluate_all(
    run: Run, federation: Federation, clients: dict[str, Path], progress: Progress
) -> None:
    """Score every model on every evaluation set, one JSON file each.

    A score that is there already, made from the same weights, files, card and protocol, is kept.
    """
    for name, folder in models(run, clients).items():
        [weights] = file_hashes([folder / checkpoints.WEIGHTS])
        info = checkpoints.load_info(folder)
        score_model(run, federation, name, weights, info, partial(open_here, folder), progress)


def score_model(
    run: Run,
    federation: Federation,
    name: str,
    weights: str,
    info: checkpoints.Info,
    load: Callable[[], nn.Module],
    progress: Progress,
) -> None:
    """Score one model on every evaluation set.

    Args:
        run: the run folder.
        federation: its configuration.
        name: of the model in score files and tables.
        weights: a hash of its weights.
        info: of the model.
        load: as of `evaluate_stored`; called only if the model has to be scored.
        progress: receives the state of the work.
    """
    for chosen in federation.evaluation:
        dataset, protocol = open_dataset(chosen), chosen.protocol
        inputs = score_inputs(weights, info, data_inputs(dataset), protocol)
        on_image = partial(progress, f"{name} on {chosen.name}")
        path = run.score(name, chosen.name)
        try:
            kept_or_scored(path, inputs, load, info, dataset, protocol, on_image, model=name)
        except ModelError as error:  # of one client; the others have scores
            notices.warning("%s has no score on %s: %s", name, chosen.name, error)
            path.unlink(missing_ok=True)


def _coverage(checkpoint: Path) -> set[int]:
    return set(checkpoints.load_info(checkpoint).coverage)


def _union_coverage(clients: dict[str, Path]) -> tuple[int, ...]:
    """The classes that at least one client knows: all that the global model can have learnt."""
    return tuple(sorted(set().union(*map(_coverage, clients.values()))))
