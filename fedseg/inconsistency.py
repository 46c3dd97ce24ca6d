"""Where client models disagree: FedS2R's inconsistency, by class."""

from itertools import combinations
from typing import Any

import numpy as np

from fedseg.classes import CLASSES, NUM_CLASSES
from fedseg.metrics import confusion_matrix, iou


class Agreement:
    """Counts, image by image, which classes each pair of clients gives to the same pixels.

    `pairs[k, l]` is an int64 [19, 19] matrix; rows are client k's classes, columns client l's.
    """

    def __init__(self, clients: list[str]) -> None:
        self.clients = clients
        self.pairs = {
            pair: np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
            for pair in combinations(range(len(clients)), 2)
        }

    def update(self, predictions: list[np.ndarray]) -> None:
        """Add one image: each client's trainIds, uint8 [h, w], in the order of `clients`."""
        for (first, second), counts in self.pairs.items():
            counts += confusion_matrix(predictions[first], predictions[second], NUM_CLASSES)


def inconsistency(agreement: Agreement, coverage: dict[str, set[int]]) -> np.ndarray:
    """Inconsistency of each class over a dataset.

    I_c = 1 - mean over pairs (k, l) with c in both S_k and S_l of IoU_c(argmax z_k, argmax z_l),
    the IoU being taken over all pixels of all images.

    Args:
        agreement: the pairwise counts.
        coverage: S_k, the trainIds that client k was trained on.

    Returns:
        float64 [19], 0..1; NaN for a class that no two clients know, or none of them predicts.
    """
    rows = [_pair_iou(agreement, pair, coverage) for pair in agreement.pairs]
    if not rows:
        return np.full(NUM_CLASSES, np.nan)
    values = np.stack(rows)
    counted = (~np.isnan(values)).sum(axis=0)
    mean = np.divide(
        np.nansum(values, axis=0), counted, out=np.full(NUM_CLASSES, np.nan), where=counted > 0
    )
    return 1 - mean


def unstable_classes(scores: np.ndarray, most: int) -> list[int]:
    """TrainIds of the classes with the highest inconsistency, highest first; NaNs never count."""
    ranked = sorted(np.flatnonzero(~np.isnan(scores)), key=lambda c: -scores[c])
    return [int(c) for c in ranked[:most] if scores[c] > 0]


def record(agreement: Agreement, coverage: dict[str, set[int]], most: int) -> dict[str, Any]:
    """The content of inconsistency.json."""
    scores = inconsistency(agreement, coverage)
    return {
        "clients": agreement.clients,
        "inconsistency": _by_class(scores),
        "unstable": [CLASSES[c] for c in unstable_classes(scores, most)],
        "pairs": [
            {
                "clients": [agreement.clients[k] for k in pair],
                "iou": _by_class(_pair_iou(agreement, pair, coverage)),
            }
            for pair in agreement.pairs
        ],
    }


def mean_agreement(content: dict[str, Any]) -> dict[str, float]:
    """How far each client agrees with the others, 0..1: mean over its pairs of their mean IoU.

    Args:
        content: of inconsistency.json.
    """
    by_client: dict[str, list[float]] = {name: [] for name in content["clients"]}
    for pair in content["pairs"]:
        values = [value for value in pair["iou"].values() if value is not None]
        for name in pair["clients"]:
            by_client[name].append(sum(values) / max(len(values), 1))
    return {name: sum(means) / max(len(means), 1) for name, means in by_client.items()}


def _pair_iou(
    agreement: Agreement, pair: tuple[int, int], coverage: dict[str, set[int]]
) -> np.ndarray:
    """IoU of each class between two clients; NaN where either does not know the class."""
    known = set.intersection(*(coverage[agreement.clients[k]] for k in pair))
    values = iou(agreement.pairs[pair])
    values[[c for c in range(NUM_CLASSES) if c not in known]] = np.nan
    return values


def _by_class(values: np.ndarray) -> dict[str, float | None]:
    return {
        name: None if np.isnan(value) else round(float(value), 6)
        for name, value in zip(CLASSES, values, strict=True)
    }
