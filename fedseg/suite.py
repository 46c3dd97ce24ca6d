"""Scoring several checkpoints on several datasets, into one table."""

from functools import partial
from pathlib import Path
from typing import Any

from fedseg import checkpoints
from fedseg.config import Evaluation, Suite
from fedseg.data.dataset import open_dataset
from fedseg.errors import FedsegError
from fedseg.evaluation import evaluate
from fedseg.files import digest, read_json, write_json, write_text
from fedseg.models import best_device
from fedseg.progress import OnProgress
from fedseg.tables import ScoreTable

Scores = dict[str, dict[str, dict[str, Any]]]


def score_suite(
    folders: list[Path], suite: Suite, on_progress: OnProgress, out: Path | None = None
) -> Scores:
    """Score every checkpoint on every dataset.

    Args:
        folders: checkpoint folders.
        suite: the datasets and how images are shown.
        on_progress: called with a stage, and else as any `OnProgress`.
        out: folder for a JSON file a score, `scores.json`, `table.md` and `table.tex`. A score
            that is there already, of the same weights, data and protocol, is not made again.

    Returns:
        For each checkpoint and dataset, by name, what `evaluate` gives.

    Raises:
        FedsegError: a checkpoint or a dataset can't be used; found for all of them before the
            first is scored.
    """
    names = row_names(folders)
    for folder in folders:
        checkpoints.load_info(folder)
    for chosen in suite.evaluation:
        open_dataset(chosen, on_render=partial(on_progress, f"rendering {chosen.name}"))
    scores = {
        name: _row(name, folder, suite, on_progress, out)
        for name, folder in zip(names, folders, strict=True)
    }
    if out:
        table = suite_table(scores, suite.evaluation)
        write_json(out / "scores.json", scores)
        write_text(out / "table.md", table.markdown())
        write_text(out / "table.tex", table.latex())
    return scores


def _row(
    name: str, folder: Path, suite: Suite, on_progress: OnProgress, out: Path | None
) -> dict[str, dict[str, Any]]:
    """A checkpoint's scores, by dataset."""
    row: dict[str, dict[str, Any]] = {}
    network, info = checkpoints.load(folder, best_device())
    weights = checkpoints.content_hash(network.state_dict())
    for chosen in suite.evaluation:
        of = digest(weights, info.model_dump_json(), chosen.model_dump_json())
        path = out / f"{name.replace('/', '-')}@{chosen.name}.json" if out else None
        score = _kept(path, of)
        if score is None:
            told = partial(on_progress, f"{name} on {chosen.name}")
            score = evaluate(network, info, open_dataset(chosen), chosen.protocol, told)
            score = {"model": name, "checkpoint": str(folder), "of": of, **score}
            if path:
                write_json(path, score)
        row[chosen.name] = score
    return row


def suite_table(scores: Scores, sets: list[Evaluation]) -> ScoreTable:
    """Rows are checkpoints, columns datasets, cells mIoU."""
    rows = {name: tuple(row[s.name]["miou"] for s in sets) for name, row in scores.items()}
    counts = []
    for chosen in sets:
        column = [row[chosen.name] for row in scores.values()]
        averaged = sorted({len(score["miou_classes"]) for score in column})
        classes = "-".join(map(str, dict.fromkeys([averaged[0], averaged[-1]])))
        counts.append(f"{chosen.name} {classes} classes, {column[0]['images']} images")
    return ScoreTable(
        tuple(s.name for s in sets), rows, f"mIoU in %, averaged over: {'; '.join(counts)}"
    )


def row_names(folders: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart.

    Raises:
        FedsegError: one checkpoint is given twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise FedsegError("a checkpoint is given twice; give each once")
    length = 1
    while len({path[-length:] for path in parts}) < len(parts):
        length += 1
    return ["/".join(path[-length:]) for path in parts]


def _kept(path: Path | None, of: str) -> dict[str, Any] | None:
    """A score made before, if it is of the same weights, data and protocol."""
    if path is None or not path.is_file():
        return None
    score = read_json(path)
    return score if score.get("of") == of else None
