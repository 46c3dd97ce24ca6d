"""Cross-site evaluation in a run folder: what is there, what is missing, and what it comes to."""

import numpy as np

from fedseg.classes import ClassList
from fedseg.errors import FedsegError
from fedseg.evaluation.metrics import received_confusion
from fedseg.method.cross_site import vote_reliability
from fedseg.run.folder import Run
from fedseg.run.records import CrossSiteScore
from fedseg.run.uploads import read_accepted
from fedseg.storage.provenance import Inputs


def missing_sites(run: Run, model: str, clients: list[str]) -> list[str]:
    """The clients that have not scored a client's model yet."""
    inputs = _inputs(run, model)
    return [
        site
        for site in clients
        if site != model
        and not CrossSiteScore.read_if_made_from(run.cross_site_evaluation(model, site), inputs)
    ]


def keep_score(run: Run, model: str, site: str, confusion: list[int], classes: ClassList) -> None:
    """Write what one client found of another's model.

    Args:
        run: the run folder.
        model: whose model.
        site: on whose data.
        confusion: the matrix over the classes, row by row; rows are true classes.
        classes: of the federation.

    Raises:
        FedsegError: it is no such matrix.
    """
    matrix = received_confusion(confusion, len(classes))
    score = CrossSiteScore(model=model, site=site, classes=classes.names, confusion=matrix.tolist())
    score.write(run.cross_site_evaluation(model, site), _inputs(run, model))


def client_votes(run: Run, clients: list[str], classes: ClassList) -> np.ndarray:
    """How much each client's vote for each class counts, by the scores in a run folder.

    Args:
        run: the run folder.
        clients: names.
        classes: of the federation.

    Returns:
        float32 [K, C], as of `vote_reliability`.
    """
    found: list[list[np.ndarray]] = []
    for model in clients:
        files = [run.cross_site_evaluation(model, site) for site in clients if site != model]
        # Where no matrix was ever asked for, there is no need to know the client's weights.
        inputs = _inputs(run, model) if any(file.is_file() for file in files) else {}
        scores = [CrossSiteScore.read_if_made_from(file, inputs) for file in files]
        found.append([score.matrix() for score in scores if score])
    return vote_reliability(found, len(classes))


def _inputs(run: Run, model: str) -> Inputs:
    """What the scores of a client's model are made from, as far as the server knows."""
    upload = read_accepted(run.clients / model)
    if upload is None:
        raise FedsegError(f"{run.clients / model}: holds no client's model")
    return {"weights": upload.sha256}
