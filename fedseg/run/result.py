"""result.json: a whole run in one machine-readable summary, and the table that people read."""

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from fedseg.config import GLOBAL, Federation
from fedseg.errors import FedsegError
from fedseg.files import read_json
from fedseg.registry import BASELINES
from fedseg.run.clients import read_record
from fedseg.run.folder import Run
from fedseg.storage.audit import last_hash
from fedseg.storage.provenance import open_product

UNHEARD = "nothing was heard of it"
VERSIONED = ("fedseg", "flwr", "torch", "segmentation-models-pytorch", "albumentations", "ray")


def gather_result(
    run: Run,
    federation: Federation,
    status: str,
    failures: dict[str, str],
    seconds: dict[str, float],
    error: str | None = None,
) -> dict[str, Any]:
    """Gather what the run folder holds into one summary.

    Args:
        run: the run folder.
        federation: its configuration.
        status: "completed" or "failed".
        failures: for each client without a good upload, and evaluator without a score, why.
        seconds: wall-clock time of the stages that ran.
        error: why the run failed.

    Returns:
        The content of a result.json.
    """
    has_record = run.inconsistency.is_file()
    disagreement = open_product(run.inconsistency)[0] if has_record else {}
    return {
        "status": status,
        **({"error": error} if error else {}),
        "seed": federation.seed,
        "clients": {
            client.name: _client(run, client.name, failures) for client in federation.clients
        },
        "evaluators": {
            chosen.name: _evaluator(run, chosen.name, failures) for chosen in federation.evaluators
        },
        "suspects": disagreement.get("suspects", []),
        "doubtful": disagreement.get("doubtful", []),
        "claims": disagreement.get("claims", []),
        "unstable_classes": disagreement.get("unstable", []),
        "inconsistency": disagreement.get("inconsistency", {}),
        "evaluation": scores(run, federation),
        "seconds": seconds,
        "audit": last_hash(run.audit.path),
        "versions": {name: _version(name) for name in VERSIONED}
        | {"python": platform.python_version()},
    }


def load_result(folder: Path | str) -> dict[str, Any]:
    """Read the result of a run.

    Args:
        folder: the run folder.

    Returns:
        The content of result.json: `status`, `clients`, `evaluation` and more, as `gather_result`
        gives it.

    Raises:
        FedsegError: the folder holds no result.

    Example:
        >>> import fedseg
        >>> result = fedseg.load_result("runs/embedded")
        >>> score = result["evaluation"]["global"]["stormnight"]
        >>> score["images"], 0 <= score["miou"] <= 1
        (4, True)
    """
    run = Run(Path(folder))
    if not run.result.is_file():
        raise FedsegError(f"{folder}: no result of a run; expected {run.result.name} in it")
    return read_json(run.result)


def scores(run: Run, federation: Federation) -> dict[str, dict[str, Any]]:
    """For each model and evaluation set: miou, miou_classes, iou by class, images."""
    keys = ("miou", "miou_classes", "iou", "images", "dataset", "split")
    found: dict[str, dict[str, Any]] = {}
    for model in [*(client.name for client in federation.clients), *BASELINES, GLOBAL]:
        for chosen in [*federation.evaluation, *federation.evaluators]:
            path = run.score(model, chosen.name)
            if path.is_file():
                score, _ = open_product(path)
                found.setdefault(model, {})[chosen.name] = {key: score[key] for key in keys}
    return found


def scored_sets(result: dict[str, Any]) -> list[str]:
    """The evaluation sets that any model has a score on."""
    return list(dict.fromkeys(name for row in result["evaluation"].values() for name in row))


def failed_clients(result: dict[str, Any]) -> str:
    """What a run that failed says first: which clients did, and why."""
    return "".join(
        f"client '{name}': {client['reason']}; "
        for name, client in result["clients"].items()
        if client["status"] != "good"
    )


def _evaluator(run: Run, name: str, failures: dict[str, str]) -> dict[str, Any]:
    score = _read(run.score(GLOBAL, name), None)
    if score is None:
        return {"status": "failed", "reason": failures.get(name, UNHEARD)}
    return {"status": "good", **{key: score[key] for key in ("dataset", "split", "images")}}


def _client(run: Run, name: str, failures: dict[str, str]) -> dict[str, Any]:
    uploaded = read_record(run.clients / name)
    if uploaded is None:
        return {"status": "failed", "reason": failures.get(name, UNHEARD)}
    keys = ("dataset", "images", "iterations", "seconds", "bytes", "sha256", "epsilon", "delta")
    model = {key: uploaded["info"][key] for key in ("arch", "encoder", "coverage")}
    return {"status": "good", **{key: uploaded.get(key) for key in keys}, **model}


def _read(path: Any, default: Any) -> Any:
    return read_json(path) if path.is_file() else default


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
