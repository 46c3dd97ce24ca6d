"""Scoring several checkpoints on several datasets, into one table."""

from functools import partial
from pathlib import Path

from fedseg.config import Evaluation, Suite
from fedseg.data.dataset import open_dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.evaluation.evaluate import evaluate_stored
from fedseg.evaluation.scores import kept_or_scored, score_inputs
from fedseg.evaluation.suite_checks import check_suite
from fedseg.evaluation.tables import ScoreTable, row_names
from fedseg.files import write_json
from fedseg.models.checkpoints import Info
from fedseg.models.exported import open_here, open_info, weights_of
from fedseg.models.hub import local_folder
from fedseg.run.progress import Progress
from fedseg.run.records import Score
from fedseg.storage.hashes import file_hashes

Scores = dict[str, dict[str, Score]]


def score_suite(
    folders: list[Path],
    suite: Suite,
    progress: Progress,
    out: Path | None = None,
) -> Scores:
    """Score every checkpoint on every dataset.

    Args:
        folders: checkpoint folders, `hf://REPOSITORY[@REVISION]`, or ONNX or safetensors files of
            `fedseg export`.
        suite: the datasets and how images are shown.
        progress: receives the state of the work.
        out: folder for a JSON file a score, `scores.json`, `table.md` and `table.tex`. A score
            that is there already, made from the same weights, files, card and protocol, is kept.

    Returns:
        For each checkpoint and dataset, by name, what `evaluate` gives.

    Raises:
        FedsegError: a checkpoint or a dataset can't be used; found for all of them before the
            first is scored.
    """
    check_suite(folders, suite, out)
    names = row_names(folders)
    folders = [local_folder(folder) for folder in folders]
    infos = [open_info(folder) for folder in folders]
    for chosen in suite.evaluation:
        open_dataset(chosen, progress=progress, stage=f"rendering {chosen.name}")
    scores = {
        name: _row(name, folder, info, suite, progress, out)
        for name, folder, info in zip(names, folders, infos, strict=True)
    }
    if out:
        write_json(out / "scores.json", as_json(scores))
        suite_table(scores, suite.evaluation).write(out)
    return scores


def _row(
    name: str,
    folder: Path,
    info: Info,
    suite: Suite,
    progress: Progress,
    out: Path | None,
) -> dict[str, Score]:
    """A checkpoint's scores, by dataset."""
    row: dict[str, Score] = {}
    load = partial(open_here, folder)
    for chosen in suite.evaluation:
        dataset, protocol = open_dataset(chosen), chosen.protocol
        stage = f"{name} on {chosen.name}"
        if out is None:
            score = evaluate_stored(load, info, dataset, protocol, progress, stage)
            score = score.of_model(name, str(folder))
        else:
            [weights] = file_hashes([weights_of(folder)])
            inputs = score_inputs(weights, info, data_inputs(dataset), protocol)
            path = out / f"{name.replace('/', '-')}@{chosen.name}.json"
            score = kept_or_scored(
                path, inputs, load, info, dataset, protocol, progress, stage, name, str(folder)
            )
        row[chosen.name] = score
    return row


def as_json(scores: Scores) -> dict[str, dict[str, dict[str, object]]]:
    """Scores as JSON values."""
    return {
        model: {name: score.content() for name, score in row.items()}
        for model, row in scores.items()
    }


def suite_table(scores: Scores, sets: list[Evaluation]) -> ScoreTable:
    """Rows are checkpoints, columns datasets, cells mIoU."""
    rows = {name: tuple(row[s.name].miou for s in sets) for name, row in scores.items()}
    counts = []
    for chosen in sets:
        column = [row[chosen.name] for row in scores.values()]
        averaged = sorted({len(score.miou_classes) for score in column})
        classes = "-".join(map(str, dict.fromkeys([averaged[0], averaged[-1]])))
        counts.append(f"{chosen.name} {classes} classes, {column[0].images} images")
    return ScoreTable(
        tuple(s.name for s in sets), rows, f"mIoU in %, averaged over: {'; '.join(counts)}"
    )
