"""How good the targets of a run are as labels, before any student learns them.

The clients' predictions are fused by fedseg's own rule and scored as labels of a labelled set that
nobody trains on, at the targets' resolution. The oracle picks, pixel by pixel, a client that is
right.

    python benchmarks/target_quality.py RUN --dataset camvid --root ROOT --split val
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from command import start
from rich.table import Table

from fedseg import config
from fedseg.cli import console
from fedseg.config import Source
from fedseg.data.dataset import open_dataset
from fedseg.data.label_map import LabelMap
from fedseg.evaluation.evaluate import classify_pixels, membership_of
from fedseg.evaluation.metrics import confusion_matrix, iou
from fedseg.method.context import open_context
from fedseg.method.fusion.mean import balance_votes, cast_votes, typical_prior
from fedseg.method.reliability import combine_weights
from fedseg.method.teachers import open_teachers, predict_images
from fedseg.method.votes import client_votes
from fedseg.resize import resize_label
from fedseg.run.folder import find_run
from fedseg.run.progress import silent
from fedseg.run.records import Inconsistency

STRENGTHS = (0.0, 0.3, 0.5, 0.7)
"""Strengths of class balance; a column each."""


def main(
    run: Path,
    dataset: Annotated[str, typer.Option()],
    root: Annotated[Path | None, typer.Option()] = None,
    split: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Print the mIoU in % of the clients' targets by strength of class balance."""
    folder = find_run(run)
    federation = config.load(folder.config)
    context = open_context(folder, federation, silent)
    data = open_dataset(Source(dataset=dataset, root=root, split=split))
    teachers = open_teachers(context.clients)
    with TemporaryDirectory() as working:
        for teacher in teachers.values():
            teacher.files = predict_images(
                teacher.checkpoint, data, context.student, Path(working), silent, "labels"
            )
        predictions = {
            name: [teacher.probabilities(index) for index in range(len(data))]
            for name, teacher in teachers.items()
        }
    known = {name: teacher.coverage for name, teacher in teachers.items()}
    mapped = LabelMap(data.card)
    sizes = [first.shape[:2] for first in next(iter(predictions.values()))]
    labels = [resize_label(mapped.scored_ids()[data.label(i)], s) for i, s in enumerate(sizes)]
    membership, classes = membership_of(mapped), len(mapped.names)

    def scored_classes(target: np.ndarray) -> np.ndarray:
        logits = torch.from_numpy(target).permute(2, 0, 1).float().clamp(min=1e-6).log()
        return classify_pixels(logits, membership).numpy()

    def miou(guesses: list[np.ndarray]) -> str:
        pairs = zip(labels, guesses, strict=True)
        confusion = np.sum([confusion_matrix(*pair, classes) for pair in pairs], axis=0)
        return f"{100 * np.nanmean(iou(confusion)):.1f}"

    def targets(names: list[str], strength: float, weights: np.ndarray | None) -> list[np.ndarray]:
        chosen = [predictions[name] for name in names]
        coverage = [known[name] for name in names]
        means = np.array([np.mean([p.mean(axis=(0, 1)) for p in own], axis=0) for own in chosen])
        prior = typical_prior(means / 255, coverage)
        return [
            balance_votes(cast_votes([*each], coverage, weights), prior, strength, 1.0)
            for each in zip(*chosen, strict=True)
        ]

    table = Table("class balance", *map(str, STRENGTHS))
    everybody = list(predictions)
    rows: dict[str, tuple[list[str], np.ndarray | None]]
    rows = {f"{name} alone": ([name], None) for name in everybody}
    rows["class-aware mean"] = everybody, None
    votes = client_votes(folder, everybody, federation.classes)
    trust = Inconsistency.read(folder.inconsistency).weights
    if set(trust) == set(everybody):
        rows["the same, by trust"] = (
            everybody,
            combine_weights([trust[name] for name in everybody], np.ones_like(votes)),
        )
    rows["the same, as clients score each other"] = everybody, votes
    for name, (chosen, weights) in rows.items():
        every = [targets(chosen, strength, weights) for strength in STRENGTHS]
        table.add_row(name, *(miou([scored_classes(t) for t in some]) for some in every))
    best = [scored_classes(target) for target in targets(everybody, 0.0, None)]
    for own in predictions.values():
        guesses = [scored_classes(prediction) for prediction in own]
        best = [np.where(g == y, g, b) for g, y, b in zip(guesses, labels, best, strict=True)]
    table.add_row("oracle", miou(best), *[""] * (len(STRENGTHS) - 1))
    console.show(table)


if __name__ == "__main__":
    start(main)
