"""The global model beside what it is compared with, over several runs of one federation."""

from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from fedseg import config
from fedseg.config import GLOBAL, Federation
from fedseg.errors import FedsegError
from fedseg.evaluation.tables import ScoreTable
from fedseg.registry import BASELINES
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run
from fedseg.run.progress import OnProgress
from fedseg.run.records import Evaluation, Result
from fedseg.run.result import scores
from fedseg.workflows.baselines import make_baselines
from fedseg.workflows.server_stages import evaluate_all
from fedseg.workflows.sources import check_sources


def compare(folders: list[Path], on_progress: OnProgress) -> ScoreTable:
    """Make and score every baseline of every run, and put them in one table.

    Args:
        folders: run folders that differ in nothing but the seed.
        on_progress: called with a stage, and else as any `OnProgress`.

    Returns:
        Rows are the clients, the baselines and the global model, columns the evaluation sets, cells
        the mean mIoU over the runs, with its standard deviation.

    Raises:
        FedsegError: a folder is no completed run, the runs are not of one federation, or the data
            that a run's models were made from has changed.
    """
    runs = [Run(folder) for folder in folders]
    federations = [_completed(run) for run in runs]
    for folder, federation in zip(folders, federations, strict=True):
        if federation.model_copy(update={"seed": 0}) != federations[0].model_copy(
            update={"seed": 0}
        ):
            raise FedsegError(f"{folder}: is not of the same federation as {folders[0]}")
    found = []
    for run, federation in zip(runs, federations, strict=True):
        notify = partial(on_progress, name=run.path.name)
        check_sources(run, federation)
        make_baselines(run, federation, notify)
        evaluate_all(run, federation, good_clients(run, federation), notify)
        found.append(scores(run, federation))
        Result.read(run.result).with_scores(found[-1]).write(run.result)
    names = [client.name for client in federations[0].clients]
    return mean_over_runs(found, [*names, *BASELINES, GLOBAL])


def _completed(run: Run) -> Federation:
    if not run.result.is_file() or not Result.read(run.result).is_complete:
        raise FedsegError(f"{run.path}: not the folder of a completed run")
    return config.load(run.config)


def mean_over_runs(found: list[Evaluation], models: list[str]) -> ScoreTable:
    """The mean mIoU, and its deviation, of the models that every run has scores of.

    Args:
        found: for each run what `result.scores` gives.
        models: rows, in order.
    """
    sets = tuple(next(iter(found[0].values())))
    rows: dict[str, tuple[float | None, ...]] = {}
    spreads: dict[str, tuple[float, ...]] = {}
    for name in models:
        if all(name in run for run in found):
            cells = [_mean([run[name][chosen].miou for run in found]) for chosen in sets]
            rows[name] = tuple(mean for mean, _ in cells)
            spreads[name] = tuple(spread for _, spread in cells)
    if len(found) == 1:
        return ScoreTable(sets, rows, "mIoU in %, one run")
    caption = f"mIoU in %, {len(found)} runs, mean \u00b1 standard deviation"
    return ScoreTable(sets, rows, caption, spreads)


def _mean(values: list[float | None]) -> tuple[float | None, float]:
    """Mean and standard deviation over the runs; no mean where a run has no mIoU."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None, 0.0
    return fmean(known), stdev(known) if len(known) > 1 else 0.0
