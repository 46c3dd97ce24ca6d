"""Cross-validation among clients: every client's model, scored at home by every other client.

Each has labels, of its own world alone; so what one's model is worth elsewhere, class by class, is
known from all the others' labels. All that leaves them for it are confusion matrices, but they see
each other's models: it is off unless asked for.
"""

import numpy as np

from fedseg.classes import CLASSES, NUM_CLASSES
from fedseg.files import read_json
from fedseg.metrics import iou, received
from fedseg.provenance import Inputs, read_product, write_product
from fedseg.runs import Run

MOST_IMAGES = 200
"""Of its own, on which a client scores another's model."""
LEAST = 2 / 3
"""What a vote counts at least, of what the best client's vote counts: see `fusion.fuse`."""


def missing_sites(run: Run, model: str, clients: list[str]) -> list[str]:
    """The clients that have not scored a client's model yet."""
    inputs = _inputs(run, model)
    return [
        site
        for site in clients
        if site != model and read_product(run.cross_validation(model, site), inputs) is None
    ]


def keep(run: Run, model: str, site: str, confusion: list[int]) -> None:
    """Write what one client found of another's model.

    Args:
        run: the run folder.
        model: whose model.
        site: on whose data.
        confusion: the matrix over the 19 classes, row by row; rows are true classes.

    Raises:
        FedsegError: it is no such matrix.
    """
    matrix = received(confusion, NUM_CLASSES)
    content = {"model": model, "site": site, "classes": CLASSES, "confusion": matrix.tolist()}
    write_product(run.cross_validation(model, site), content, _inputs(run, model))


def reliability(run: Run, clients: list[str]) -> np.ndarray:
    """How much each client's vote for each class counts: its IoU on the other clients' data.

    The median of the sites' IoUs, so that a site counts the same however many pixels it says it
    has, and one site of several can't decide. The IoUs of a class are divided by the best one.

    Args:
        run: the run folder.
        clients: names.

    Returns:
        float32 [K, 19], `LEAST`..1; 1 everywhere where nothing was scored. A client that was not
        scored on a class counts as the others do on average.
    """
    scores = np.full((len(clients), NUM_CLASSES), np.nan)
    for row, model in zip(scores, clients, strict=True):
        files = [run.cross_validation(model, site) for site in clients if site != model]
        # Where no matrix was ever asked for, there is no need to know the client's weights.
        inputs = _inputs(run, model) if any(file.is_file() for file in files) else {}
        matrices = [read_product(file, inputs) for file in files]
        found = [_scored(np.array(content["confusion"])) for content in matrices if content]
        for c, values in enumerate(np.array(found).reshape(len(found), NUM_CLASSES).T):
            if np.isfinite(values).any():
                row[c] = np.nanmedian(values)
    known = np.isfinite(scores)
    typical = np.where(known, scores, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    scores = np.where(known, scores, typical)
    best = scores.max(axis=0)
    scores = np.divide(scores, best, out=np.ones_like(scores), where=best > 0)
    return np.maximum(scores, LEAST).astype(np.float32)


def _scored(confusion: np.ndarray) -> np.ndarray:
    """One site's IoU of each class that it has; a prediction of another class tells little."""
    return np.where(confusion.sum(axis=1) > 0, iou(confusion), np.nan)


def _inputs(run: Run, model: str) -> Inputs:
    """What the scores of a client's model are made from, as far as the server knows."""
    return {"weights": read_json(run.clients / model / "client.json")["sha256"]}
