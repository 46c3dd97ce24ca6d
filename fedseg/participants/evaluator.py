"""An evaluator's part: score a model on private data and send only the confusion matrix."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from pydantic import ValidationError
from torch import Tensor

from fedseg.config import GLOBAL, Evaluator
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.errors import PublicError
from fedseg.evaluation.evaluate import evaluate, score_of
from fedseg.evaluation.metrics import received_confusion
from fedseg.evaluation.scores import score_inputs
from fedseg.models import checkpoints
from fedseg.models.build import best_device
from fedseg.models.checkpoints import Info
from fedseg.models.names import check_names
from fedseg.participants.introduction import Introduction
from fedseg.run.progress import Progress
from fedseg.run.records import ProtocolRecord, Score
from fedseg.storage.provenance import Inputs


def parse_info(text: str) -> Info:
    """What the server says of a model that it sent.

    Raises:
        PublicError: it is malformed.
    """
    try:
        return Info.model_validate_json(text)
    except ValidationError:
        raise PublicError("the model came with malformed metadata") from None


def score_locally(
    evaluator: Evaluator,
    info: Info,
    weights: Mapping[str, Tensor],
    progress: Progress,
    most: int | None = None,
    check: Callable[[Dataset], None] = lambda dataset: None,
) -> np.ndarray:
    """Score a model that the server sent on a node's own data.

    Args:
        evaluator: its half of the configuration.
        info: of the model.
        weights: of the model.
        progress: receives the state of the work.
        most: images to score it on, evenly spread; default: all.
        check: called with the images before the model sees any.

    Returns:
        The confusion matrix, int64 [C, C]; rows are true classes, columns predicted ones.

    Raises:
        FedsegError: the model is not on the allow-list or its weights are not those of such a
            model, or the data can't be used.
    """
    check_names(info.arch, info.encoder)
    dataset = open_dataset(evaluator)
    if most:
        dataset = dataset.every(math.ceil(len(dataset) / most))
    check(dataset)
    network = checkpoints.restore_network(info, weights, "model from the server", best_device())
    score = evaluate(network, info, dataset, evaluator.protocol, progress)
    return np.array(score.confusion, np.int64)


def answer_inputs(weights: str, info: Info, evaluator: Evaluator) -> Inputs:
    """What an evaluator's score is made from, as far as the server knows."""
    return score_inputs(weights, info, {}, evaluator.protocol)


def answered_score(confusion: list[int], introduction: Introduction, evaluator: Evaluator) -> Score:
    """The score that an evaluator's answer makes, as of `evaluate`.

    Args:
        confusion: its matrix, row by row.
        introduction: its description of its dataset.
        evaluator: its part of the server's configuration.

    Raises:
        FedsegError: not a confusion matrix over the classes of its introduction.
    """
    matrix = received_confusion(confusion, len(introduction.classes))
    return score_of(
        matrix,
        list(introduction.classes),
        introduction.dataset,
        introduction.split,
        introduction.images,
        ProtocolRecord(**evaluator.protocol.model_dump()),
    ).of_model(GLOBAL)
