"""Scores of the models in a run folder on the evaluation sets, one JSON file each."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from fedseg.config import GLOBAL
from fedseg.data.fingerprint import data_inputs
from fedseg.errors import ModelError
from fedseg.evaluation.scores import kept_or_scored, score_inputs
from fedseg.method.context import Context
from fedseg.models import checkpoints
from fedseg.models.exported import open_here
from fedseg.run.result import scores
from fedseg.storage.hashes import file_hashes
from fedseg.storage.provenance import notices
from fedseg.training.tracking import open_trackers


def score_models(context: Context) -> None:
    """Score clients, baselines and the global model on every evaluation set.

    A score that is there already, made from the same weights, files, card and protocol, is kept.
    """
    for name, folder in scored_models(context).items():
        [weights] = file_hashes([folder / checkpoints.WEIGHTS])
        score_model(
            context, name, weights, checkpoints.load_info(folder), partial(open_here, folder)
        )


def scored_models(context: Context) -> dict[str, Path]:
    """Checkpoint folders of everything to be scored, by name."""
    run = context.run
    folders = context.clients | {name: run.baseline(name) for name in run.baselines()}
    return folders | ({GLOBAL: run.global_model} if run.global_model.is_dir() else {})


def score_model(
    context: Context,
    name: str,
    weights: str,
    info: checkpoints.Info,
    load: Callable[[], nn.Module],
) -> None:
    """Score one model on every evaluation set.

    Args:
        context: of the run.
        name: of the model in score files and tables.
        weights: a hash of its weights.
        info: facts of the model.
        load: gives the model; called only if it has to be scored.
    """
    for chosen, dataset in context.evaluation_sets:
        protocol = chosen.protocol
        inputs = score_inputs(weights, info, data_inputs(dataset), protocol)
        stage = f"{name} on {chosen.name}"
        path = context.run.score(name, chosen.name)
        try:
            kept_or_scored(
                path, inputs, load, info, dataset, protocol, context.progress, stage, name
            )
        except ModelError as error:  # of one client; the others have scores
            notices.warning("%s has no score on %s: %s", name, chosen.name, error)
            path.unlink(missing_ok=True)


def log_scores(context: Context) -> None:
    """Give the mIoU of every model on every set to the trackers."""
    run, federation = context.run, context.federation
    found = {
        f"mIoU/{chosen}/{model}": score.miou
        for model, row in scores(run, federation).items()
        for chosen, score in row.items()
        if score.miou is not None
    }
    for tracker in open_trackers(federation.tracking, run.tracking, run.path.name, "scores"):
        tracker.on_start([])
        tracker.log(context.settings.training.iterations, found)
        tracker.close()
