"""What a node answers: trained weights and confusion matrices, within what its owner allows.

What is asked and what is sent stands in the audit log of the node's state folder.
"""

from collections.abc import Mapping
from contextlib import nullcontext

import numpy as np
from torch import Tensor

from fedseg.config import Model
from fedseg.data.dataset import Dataset
from fedseg.data.images import stored_size
from fedseg.errors import PublicError
from fedseg.evaluation.inference import view_size
from fedseg.files import digest
from fedseg.machine import memory
from fedseg.models.adapters import check_base
from fedseg.models.build import outline
from fedseg.models.names import check_names
from fedseg.participants.allowance import allowance_of
from fedseg.participants.client import pack, train_client
from fedseg.participants.evaluator import parse_info, score_at_home
from fedseg.participants.node import Limits, Node, Places, ScoreTask, TrainTask
from fedseg.participants.watchdog import Guard, memory_limit, time_limit
from fedseg.run.progress import Progress
from fedseg.run.uploads import Upload
from fedseg.storage.audit import AUDIT, AuditLog
from fedseg.storage.hashes import content_hash
from fedseg.training.callbacks import WriteCurve
from fedseg.training.tracking import trackers

MEMORY_SHARE = 0.9
"""Share of this machine's memory that a task may take where the owner sets no limit."""

MOST_IMAGES = 200
"""Images of its own on which a client scores another's model."""


def train_answer(
    node: Node,
    task: TrainTask,
    run_id: int,
    progress: Progress,
    places: Places,
) -> tuple[Mapping[str, Tensor], Upload]:
    """Train this node's client and prepare its upload.

    Args:
        node: whose.
        task: what the server asks.
        run_id: of Flower's run, for the log.
        progress: receives the state of the work.
        places: for the losses; they stay on this machine.

    Raises:
        FedsegError: it is no trainer, the task exceeds its limits, or its data can't be used.
    """
    client, allowance = node.client(task), allowance_of(node)
    if allowance:
        allowance.count_request()
        allowance.check_task(client.training)
    check_model(client.model, node.limits)
    height, width = client.training.crop
    _check_pixels(height * width, node.limits)
    if task.base and client.model.plain == task.model.plain:
        check_base(client.model, task.seed, task.base)
    log = _log(node)
    asked = {"model": client.model.model_dump(mode="json"), "seed": task.seed}
    log.add("training asked for", run=str(run_id), **asked)
    callbacks = [
        WriteCurve(places.curve),
        *trackers(node.tracking, places.tracking, places.run, node.name),
    ]
    folder = train_client(client, task.seed, node.state, progress, callbacks, allowance)
    weights, upload = pack(folder)
    log.add("model sent", run=str(run_id), **upload.model_dump(mode="json"))
    return weights, upload


def score_answer(
    node: Node,
    task: ScoreTask,
    is_cross_site: bool,
    info_text: str,
    weights: Mapping[str, Tensor],
    run_id: int,
    progress: Progress,
) -> np.ndarray:
    """Score a model that the server sent on this node's data.

    Args:
        node: whose.
        task: what the server asks.
        is_cross_site: whether the model is another client's, and the data a trainer's.
        info_text: a `checkpoints.Info` as JSON.
        weights: of the model.
        run_id: of Flower's run, for the log.
        progress: receives the state of the work.

    Returns:
        The confusion matrix, int64 [C, C].

    Raises:
        FedsegError: its owner does not allow this, the task exceeds its limits, the model is no
            good, or the data can't be used.
    """
    evaluator = (node.cross_site if is_cross_site else node.evaluator)(task.protocol)
    allowance = allowance_of(node)
    if allowance:
        allowance.count_request()
    info = parse_info(info_text)
    check_names(info.arch, info.encoder)
    node.trust_architecture(info.arch)
    check_model(info.model, node.limits)
    log = _log(node)
    run, sha256 = str(run_id), content_hash(weights)
    log.add(
        "score asked for",
        run=run,
        cross_site=is_cross_site,
        protocol=digest(task.protocol),
        weights=sha256,
        info=info.model_dump(mode="json"),  # as parsed: the text may hold anything else
    )

    def check(dataset: Dataset) -> None:
        for path in dataset.images:
            rows, columns = view_size(*stored_size(path), info, task.protocol)
            _check_pixels(rows * columns, node.limits)

    most = MOST_IMAGES if is_cross_site else None
    with allowance.one_score() if allowance else nullcontext():
        confusion = score_at_home(evaluator, info, weights, progress, most, check)
    log.add("confusion matrix sent", run=run, weights=sha256, pixels=int(confusion.sum()))
    return confusion


def guards_of(node: Node, timeout: float) -> list[Guard]:
    """What ends a node's work: the server's deadline, and the owner's limits."""
    limits = node.limits
    most = limits.memory * 2**30 if limits.memory else MEMORY_SHARE * memory()
    return [
        time_limit(timeout, "client_timeout"),
        time_limit(limits.seconds, "node.toml, limits.seconds"),
        memory_limit(int(most)),
    ]


def check_model(model: Model, limits: Limits) -> None:
    """See that a model has no more parameters than a node allows; without memory for them.

    Raises:
        PublicError: it has.
    """
    outlined = outline(model.plain)
    count = sum(parameter.numel() for parameter in outlined.parameters())
    if count > limits.parameters:
        raise PublicError(
            f"{model.arch} with {model.encoder} has {count} parameters, but the node allows "
            f"{limits.parameters} (node.toml, limits.parameters)"
        )


def _check_pixels(pixels: int, limits: Limits) -> None:
    if pixels > limits.pixels:
        raise PublicError(
            f"an input would have {pixels} pixels, but the node allows {limits.pixels} "
            "(node.toml, limits.pixels)"
        )


def _log(node: Node) -> AuditLog:
    return AuditLog(node.state / AUDIT)
