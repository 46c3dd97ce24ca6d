"""Score files: a model's score on a dataset, kept as long as neither of them changes."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from fedseg.config import GLOBAL, Federation, Protocol
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.errors import FedsegError
from fedseg.evaluation.evaluate import evaluate_stored
from fedseg.models.checkpoints import Info
from fedseg.run.folder import Run
from fedseg.run.progress import Progress
from fedseg.run.records import Score
from fedseg.storage.provenance import Inputs, open_product


def score_inputs(weights: str, info: Info, data: Inputs, protocol: Protocol) -> Inputs:
    """What a score is made from.

    Args:
        weights: hash of the model's weights.
        info: of the model.
        data: `data_inputs` of the dataset, or what stands for it where it is on another machine.
        protocol: how images are shown to the model.
    """
    return {
        "weights": weights,
        "model": info.inputs,
        "protocol": protocol.model_dump(mode="json"),
        **data,
    }


def kept_or_scored(
    path: Path,
    inputs: Inputs,
    load: Callable[[], nn.Module],
    info: Info,
    dataset: Dataset,
    protocol: Protocol,
    progress: Progress,
    stage: str,
    model: str,
    checkpoint: str | None = None,
) -> Score:
    """The score in a file, if it was made from these inputs; else it is made and written there.

    Args:
        path: the score file.
        inputs: as of `score_inputs`.
        load: as of `evaluate_stored`; called only if the model has to be scored.
        info: of the model.
        dataset: labelled.
        protocol: how images are shown to the model.
        progress: receives the state of the work.
        stage: what it is reported as.
        model: name of the model.
        checkpoint: its folder, where it is not one of a run.
    """
    score = Score.read_if_made_from(path, inputs)
    if score is None:
        score = evaluate_stored(load, info, dataset, protocol, progress, stage)
        score = score.of_model(model, checkpoint)
        score.write(path, inputs)
    return score


def outdated_sets(run: Run, federation: Federation) -> list[str]:
    """Evaluation sets whose files or card changed since the global model was scored on them.

    Sets that were not scored, or that are not on this machine any more, are left out.
    """
    found = []
    for chosen in federation.evaluation:
        path = run.score(GLOBAL, chosen.name)
        if not path.is_file():
            continue
        try:
            now = data_inputs(open_dataset(chosen))
        except FedsegError:
            continue
        _, made_from = open_product(path)
        if any(made_from.get(name) != value for name, value in now.items()):
            found.append(chosen.name)
    return found
