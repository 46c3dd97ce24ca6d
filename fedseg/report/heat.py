"""Heat maps as tables: a colour for each cell, and the number in it."""

from dataclasses import dataclass

import numpy as np

from fedseg.classes import ClassList
from fedseg.config import GLOBAL, Federation, Source
from fedseg.data.label_map import LabelMap
from fedseg.data.own_datasets import source_card
from fedseg.errors import FedsegError
from fedseg.report.pictures import css
from fedseg.run.records import Inconsistency, Result, Score, SetScore
from fedseg.units import format_percent

LEAST = 0.005
"""Shares of pixels below this are shown by their colour only."""
MOST_CONFUSED = 50
"""Classes that a confusion matrix is shown of: the page holds a cell for each pair."""
UNSEEN = "never trained on this class"


@dataclass(frozen=True)
class Cell:
    """A number, 0..1, that is shown as a colour and a text; None where there is none."""

    value: float | None
    text: str = ""
    note: str = ""
    """Said where the pointer rests on it."""
    unseen: bool = False
    """Whether the model was never trained on the class."""


@dataclass(frozen=True)
class Row:
    """A class."""

    label: str
    colour: str | None
    """Colour of its pixels in segmentations, in CSS."""
    cells: list[Cell]
    mark: str = ""
    """A word that sets it apart."""


@dataclass(frozen=True)
class HeatMap:
    """Classes by models, or by pairs of models."""

    title: str
    columns: list[str]
    rows: list[Row]
    foot: list[Cell] | None = None
    """Means over the rows, where they make sense."""
    left_out: int = 0
    """Classes that are not shown because there are too many."""


def class_maps(result: Result, federation: Federation) -> list[HeatMap]:
    """IoU of each class, one map an evaluation set, one column a model.

    Args:
        result: of the run.
        federation: its configuration.
    """
    sources = {one.name: one for one in [*federation.evaluation, *federation.evaluators]}
    return [
        _class_map(result, name, sources[name], federation.classes) for name in result.scored_sets()
    ]


def _class_map(result: Result, chosen: str, source: Source, classes: ClassList) -> HeatMap:
    # First what one has come for: on a phone, the other columns are scrolled to.
    models = sorted(result.evaluation, key=lambda model: model != GLOBAL)
    scores = {m: row[chosen] for m in models if chosen in (row := result.evaluation[m])}
    colours = _colours(source, list(next(iter(scores.values())).iou), classes)
    rows = [
        Row(label, colour, [_iou_cell(result, m, s, label, classes) for m, s in scores.items()])
        for label, colour in colours.items()
    ]
    means = [Cell(s.miou, format_percent(s.miou, missing="")) for s in scores.values()]
    return HeatMap(chosen, [model_title(model) for model in scores], rows, means)


def _iou_cell(result: Result, model: str, score: SetScore, label: str, classes: ClassList) -> Cell:
    value = score.iou[label]
    coverage = result.clients[model].coverage if model in result.clients else None
    names = classes.names
    unseen = coverage is not None and label in names and names.index(label) not in coverage
    note = (
        f"{label}, {model_title(model)}: {format_percent(value, 2, '')}" + f" ({UNSEEN})" * unseen
    )
    return Cell(value, format_percent(value, 0, ""), note, unseen)


def confusion_map(score: Score) -> HeatMap:
    """Where the pixels of each class go: rows are true classes, columns predicted ones.

    Of more than `MOST_CONFUSED` classes, those with the most pixels, true or predicted, are shown.

    Args:
        score: of the global model, on one set.
    """
    matrix = np.array(score.confusion, np.int64)
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(1)
    pixels = matrix.sum(axis=0) + matrix.sum(axis=1)
    shown = sorted(np.argsort(-pixels, kind="stable")[:MOST_CONFUSED].tolist())
    there = [index for index in shown if matrix[index].any()]
    seen = [index for index in shown if matrix[:, index].any()]
    rows = []
    for index in there:
        name = score.classes[index]
        cells = [
            Cell(
                float(share := shares[index, other]),
                f"{100 * share:.0f}" if share >= LEAST else "",
                f"{100 * share:.1f} % of {name} is taken for {score.classes[other]}",
            )
            for other in seen
        ]
        rows.append(Row(name, None, cells))
    names = [score.classes[index] for index in seen]
    left_out = int((pixels > 0).sum() - (pixels[shown] > 0).sum())
    return HeatMap(score.dataset, names, rows, left_out=left_out)


def inconsistency_map(content: Inconsistency, classes: ClassList) -> HeatMap:
    """Inconsistency of each class: mean, after augmentation where there was one, and by pair.

    Args:
        content: of inconsistency.json.
        classes: of the federation.
    """
    after = content.after_augmentation
    columns = ["before", "after"] if after else ["all pairs"]
    columns += ["\nvs ".join(pair.clients) for pair in content.pairs]
    values = {
        name: [
            content.inconsistency[name],
            *([after[name]] if after else []),
            *(_distance(pair.iou[name]) for pair in content.pairs),
        ]
        for name in classes.names
    }
    ranked = sorted(classes.names, key=lambda name: -1 * (values[name][0] or 0.0))
    colours = dict(zip(classes.names, map(css, classes.palette), strict=True))
    rows = [
        Row(
            name,
            colours[name],
            [Cell(value, _plain(value)) for value in values[name]],
            "unstable" if name in content.unstable else "",
        )
        for name in ranked
    ]
    return HeatMap("inconsistency", columns, rows)


def trust_map(content: Inconsistency, classes: ClassList) -> HeatMap | None:
    """How consistent each client is with itself, class by class, 0..1; None of older runs.

    Args:
        content: of inconsistency.json.
        classes: of the federation.
    """
    if not content.consistency:
        return None
    colours = zip(classes.names, map(css, classes.palette), strict=True)
    clients = content.consistency.values()
    rows = [
        Row(name, colour, [Cell(client[name], _plain(client[name])) for client in clients])
        for name, colour in colours
    ]
    foot = [Cell(trust, _plain(trust)) for trust in content.trust.values()]
    return HeatMap("trust", list(content.consistency), rows, foot)


def _distance(agreement: float | None) -> float | None:
    return None if agreement is None else 1 - agreement


def model_title(model: str) -> str:
    """What a model is called in a table."""
    return {"feddf": "FedDF", "fedavg": "FedAvg"}.get(model, model.replace("+alone", " alone"))


def _colours(source: Source, names: list[str], classes: ClassList) -> dict[str, str | None]:
    """Colour of each class that a dataset is scored over, where its card can still be had."""
    try:
        is_fine = names == list(classes.names)
        table = classes.palette if is_fine else LabelMap(source_card(source), classes).colours()
    except FedsegError:
        return dict.fromkeys(names)
    return {name: css(colour) for name, colour in zip(names, table, strict=False)}


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
