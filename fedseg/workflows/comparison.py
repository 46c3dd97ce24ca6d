"""The global model beside what it is compared with, over runs of one or several configurations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from fedseg import config
from fedseg.config import GLOBAL, Federation, differing_keys, shared_sets
from fedseg.errors import FedsegError
from fedseg.evaluation.tables import ScoreTable
from fedseg.files import holders_near
from fedseg.plugins import locate_reference
from fedseg.registry import BASELINES
from fedseg.run.folder import Run, alone_name, distinct_labels
from fedseg.run.progress import Progress, silent
from fedseg.run.records import Evaluation, Inconsistency, Result, SetScore
from fedseg.run.result import best_alone, model_names, scores

REFERENCES = (
    "best client alone",
    "picked client alone",
    "mean client alone",
    "gain of the federation",
)
"""Rows computed from others, of the clients distilled alone: the best on each set, which nobody
knows without labels; the one that the server picks, by agreement or trust; their mean; and global
minus the best."""


def compare(
    folders: Sequence[Path | str],
    progress: Progress = silent,
    baselines: Sequence[str] = (),
) -> ScoreTable:
    """Make and score every baseline of every run, and put them in one table.

    Args:
        folders: run folders. Those that differ in nothing but the seed count as one configuration.
        progress: receives the state of the work.
        baselines: "module:object" of more baselines, which `fedseg.extend.Baseline` describes.

    Returns:
        Rows are the clients, the baselines, the global model and the `REFERENCES` of each
        configuration, columns the evaluation sets that all runs share, cells the mean mIoU over the
        runs of a configuration, with its standard deviation. The caption names the keys in which
        configurations differ.

    Raises:
        FedsegError: a folder is no completed run, the runs share no evaluation set, the data that a
            run's models were made from has changed, or a plugin fails.

    Examples:
        >>> import fedseg
        >>> table = fedseg.compare(["runs/embedded"])
        >>> table.columns, "feddf" in table.rows
        (('stormnight',), True)
    """
    plugins = [locate_reference(name) for name in baselines]
    for plugin in plugins:
        BASELINES.load(plugin)
    runs = [Run(Path(folder)) for folder in folders]
    federations = [_completed(run) for run in runs]
    sets = shared_sets(federations)
    if not sets:
        shared = "the runs share no evaluation set" if len(runs) > 1 else f"{folders[0]}: no scores"
        raise FedsegError(
            f"{shared}; a set is shared if its table and [classes] in the files are the same"
        )
    from fedseg.method.baselines import make_baselines
    from fedseg.method.context import open_context
    from fedseg.method.scoring import score_models
    from fedseg.planning.sources import check_sources
    from fedseg.report.write import write_report  # these import torch

    configurations: list[_Configuration] = []
    for run, federation in zip(runs, federations, strict=True):
        notify = partial(progress, name=run.path.name)
        check_sources(run, federation)
        context = open_context(run, federation, notify)
        make_baselines(context, plugins)
        score_models(context)
        evaluation = scores(run, federation)
        references = _references(evaluation, run, federation)
        result = Result.read(run.result).with_scores(evaluation)
        result.write(run.result)
        write_report(run, federation, result, run.report, notify)
        kind = federation.model_copy(update={"seed": 0})
        known = next((one for one in configurations if one.federation == kind), None)
        if known is None:
            known = _Configuration(kind, run.path.name)
            configurations.append(known)
        known.runs.append(run)
        known.found.append(evaluation | references)
    first, *others = configurations
    tables = [one.table(sets) for one in configurations]
    if not others:
        return tables[0]
    labels = distinct_labels([one.label for one in configurations])
    differing = [k for one in others for k in differing_keys(first.federation, one.federation)]
    return side_by_side(dict(zip(labels, tables, strict=True)), differing)


@dataclass(frozen=True)
class _Configuration:
    """Runs that differ in the seed only."""

    federation: Federation
    """With seed 0."""
    label: str
    found: list[Evaluation] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def table(self, sets: tuple[str, ...]) -> ScoreTable:
        return mean_over_runs(
            self.found, [*model_names(self.federation, *self.runs), *REFERENCES], sets
        )


def _references(evaluation: Evaluation, run: Run, federation: Federation) -> Evaluation:
    """What the global model is measured by, of the clients distilled alone."""
    if GLOBAL not in evaluation:
        return {}
    clients = [client.name for client in federation.clients]
    picked = Inconsistency.read(run.inconsistency).ranked[0]
    best: dict[str, SetScore] = {}
    mean: dict[str, SetScore] = {}
    gain: dict[str, SetScore] = {}
    for chosen, score in evaluation[GLOBAL].items():
        found = best_alone(evaluation, clients, chosen)
        if found and score.miou is not None:
            _, miou = found
            each = [_miou(evaluation.get(alone_name(name), {}), chosen) for name in clients]
            best[chosen] = score.model_copy(update={"miou": miou})
            mean[chosen] = score.model_copy(update={"miou": _mean(each)[0]})
            gain[chosen] = score.model_copy(update={"miou": score.miou - miou})
    rows = (best, evaluation.get(alone_name(picked), {}), mean, gain)
    return {name: row for name, row in zip(REFERENCES, rows, strict=True) if row}


def side_by_side(tables: dict[str, ScoreTable], differing: list[str]) -> ScoreTable:
    """One table of several, a model's rows together.

    Args:
        tables: by a label, which is added to the rows' names; of the same columns.
        differing: keys of the configuration in which they differ, for the caption.
    """
    names = list(dict.fromkeys(name for table in tables.values() for name in table.rows))
    places = [(n, label) for n in names for label, table in tables.items() if n in table.rows]
    rows = {f"{n} ({label})": tables[label].rows[n] for n, label in places}
    spreads = {
        f"{n} ({label})": known[n] for n, label in places if (known := tables[label].spreads)
    }
    first = next(iter(tables.values()))
    keys = ", ".join(dict.fromkeys(differing))
    caption = f"mIoU in %, mean over the runs of a configuration; they differ in: {keys}"
    return ScoreTable(first.columns, rows, caption, spreads or None)


def _completed(run: Run) -> Federation:
    if not run.result.is_file() or not Result.read(run.result).is_complete:
        hint = "" if run.config.is_file() else holders_near(run.path, run.result.name)
        raise FedsegError(f"{run.path}: not the folder of a completed run{hint}")
    return config.load(run.config)


def mean_over_runs(found: list[Evaluation], models: list[str], sets: tuple[str, ...]) -> ScoreTable:
    """The mean mIoU, and its deviation, of the models that every run has scores of.

    Args:
        found: for each run what `result.scores` gives.
        models: rows, in order.
        sets: columns.
    """
    rows: dict[str, tuple[float | None, ...]] = {}
    spreads: dict[str, tuple[float, ...]] = {}
    for name in models:
        if all(name in run for run in found):
            cells = [_mean([_miou(run[name], chosen) for run in found]) for chosen in sets]
            rows[name] = tuple(mean for mean, _ in cells)
            spreads[name] = tuple(spread for _, spread in cells)
    if len(found) == 1:
        return ScoreTable(sets, rows, "mIoU in %, one run")
    caption = f"mIoU in %, {len(found)} runs, mean \u00b1 standard deviation"
    return ScoreTable(sets, rows, caption, spreads)


def _miou(row: dict[str, SetScore], chosen: str) -> float | None:
    return row[chosen].miou if chosen in row else None


def _mean(values: list[float | None]) -> tuple[float | None, float]:
    """Mean and standard deviation over the runs; no mean where a run has no mIoU."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None, 0.0
    return fmean(known), stdev(known) if len(known) > 1 else 0.0
