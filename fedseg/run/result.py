"""result.json: gathers what a run folder holds into one summary."""

import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from fedseg.config import GLOBAL, Federation
from fedseg.errors import FedsegError
from fedseg.files import holders_near
from fedseg.registry import BASELINES
from fedseg.run.folder import CENTRALIZED, Run, alone_name
from fedseg.run.records import (
    ClientResult,
    Evaluation,
    EvaluatorResult,
    Inconsistency,
    Result,
    Score,
)
from fedseg.run.uploads import read_accepted
from fedseg.storage.audit import last_hash

UNHEARD = "nothing was heard of it"
VERSIONED = ("fedseg", "flwr", "torch", "segmentation-models-pytorch", "albumentations", "ray")


def gather_result(
    run: Run,
    federation: Federation,
    status: Literal["completed", "failed"],
    failures: dict[str, str],
    seconds: dict[str, float],
    error: str | None = None,
) -> Result:
    """Gather what the run folder holds into one summary.

    Args:
        run: the run folder.
        federation: its configuration.
        status: whether the run reached its end.
        failures: for each client without a good upload, and evaluator without a score, why.
        seconds: wall-clock time of the stages that ran.
        error: why the run failed.
    """
    found = Inconsistency.read(run.inconsistency) if run.inconsistency.is_file() else None
    versions = {name: _version(name) for name in VERSIONED}
    return Result(
        status=status,
        error=error,
        seed=federation.seed,
        clients={one.name: _client(run, one.name, failures) for one in federation.clients},
        evaluators={one.name: _evaluator(run, one.name, failures) for one in federation.evaluators},
        suspects=found.suspects if found else (),
        unusable=found.unusable if found else {},
        doubtful=found.doubtful if found else (),
        claims=found.claims if found else (),
        unstable_classes=tuple(found.unstable) if found else (),
        inconsistency=found.inconsistency if found else {},
        evaluation=scores(run, federation),
        seconds=seconds,
        audit=last_hash(run.audit.path),
        versions=versions | {"python": platform.python_version()},
    )


def load_result(folder: Path | str) -> Result:
    """Read the result of a run.

    Args:
        folder: the run folder.

    Raises:
        FedsegError: the folder holds no result.

    Examples:
        >>> import fedseg
        >>> result = fedseg.load_result("runs/embedded")
        >>> score = result.evaluation["global"]["stormnight"]
        >>> score.images, 0 <= score.miou <= 1
        (4, True)
    """
    run = Run(Path(folder))
    if not run.result.is_file():
        hint = holders_near(run.path, run.result.name)
        raise FedsegError(f"{folder}: no result of a run; expected {run.result.name} in it{hint}")
    return Result.read(run.result)


def model_names(federation: Federation, *runs: Run) -> list[str]:
    """What may have a score: clients, baselines, what is distilled alone, and the global model.

    Args:
        federation: the configuration.
        runs: whose baselines of plugins are named too.
    """
    clients = [client.name for client in federation.clients]
    distilled = [alone_name(name) for name in [*clients, CENTRALIZED]]
    known = [*BASELINES, *distilled]
    others = {name for run in runs for name in run.baselines()}.difference(known)
    return [*clients, *BASELINES, *sorted(others), *distilled, GLOBAL]


def best_alone(
    evaluation: Evaluation, clients: Iterable[str], chosen: str
) -> tuple[str, float] | None:
    """The client that is best on a set after it is distilled alone, and its mIoU, 0..1.

    None where none of them has a mIoU on that set.
    """
    known = {
        name: score.miou
        for name in clients
        if (score := evaluation.get(alone_name(name), {}).get(chosen)) and score.miou is not None
    }
    return max(known.items(), key=lambda entry: entry[1]) if known else None


def scores(run: Run, federation: Federation) -> Evaluation:
    """The scores in a run folder, in short."""
    found: Evaluation = {}
    for model in model_names(federation, run):
        for chosen in [*federation.evaluation, *federation.evaluators]:
            path = run.score(model, chosen.name)
            if path.is_file():
                found.setdefault(model, {})[chosen.name] = Score.read(path).in_short()
    return found


def _evaluator(run: Run, name: str, failures: dict[str, str]) -> EvaluatorResult:
    path = run.score(GLOBAL, name)
    if not path.is_file():
        return EvaluatorResult(status="failed", reason=failures.get(name, UNHEARD))
    score = Score.read(path)
    return EvaluatorResult(
        status="good", dataset=score.dataset, split=score.split, images=score.images
    )


def _client(run: Run, name: str, failures: dict[str, str]) -> ClientResult:
    upload = read_accepted(run.clients / name)
    if upload is None:
        return ClientResult(status="failed", reason=failures.get(name, UNHEARD))
    return ClientResult.model_validate(
        {**upload.model_dump(), **upload.info.model_dump(), "status": "good"}
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
