"""Where client models disagree: FedS2R's inconsistency, by class."""

from itertools import combinations

import numpy as np

from fedseg.classes import CLASSES, NUM_CLASSES
from fedseg.evaluation.metrics import confusion_matrix, iou
from fedseg.run.records import ByClass, Claim, Inconsistency, PairAgreement

SUSPICION = 0.5
"""Part of the usual agreement below which a client is suspected."""
FEWEST_ACCUSERS = 3
"""Clients that must agree with each other before one that does not is left out: of three, two that
permute classes in the same way would have the honest one left out."""


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

    def among(self, clients: list[str]) -> "Agreement":
        """The same counts for some of the clients."""
        chosen = Agreement(clients)
        places = [self.clients.index(name) for name in clients]
        for first, second in chosen.pairs:
            chosen.pairs[first, second] = self.pairs[places[first], places[second]]
        return chosen

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


def typical_agreement(
    agreement: Agreement, coverage: dict[str, set[int]]
) -> dict[str, float | None]:
    """How far each client agrees with the others, 0..1: the median over its pairs of their mIoU.

    The median, because one client that agrees with nobody must not count against those it is paired
    with. None for a client without others.
    """
    by_client: dict[str, list[float]] = {name: [] for name in agreement.clients}
    for pair in agreement.pairs:
        values = _pair_iou(agreement, pair, coverage)
        mean = np.nanmean(values) if not np.isnan(values).all() else 0.0
        for k in pair:
            by_client[agreement.clients[k]].append(float(mean))
    return {name: float(np.median(means)) if means else None for name, means in by_client.items()}


def suspects(typical: dict[str, float | None]) -> list[str]:
    """Clients that agree with the others less than half as far as is usual among all.

    A model of random weights, of permuted classes, or that gives one class everywhere, shares next
    to nothing with models that have learnt something. Of fewer than three nobody is suspected:
    there is no telling which of two is wrong. Whether a suspect is left out is another question:
    see `record_without_suspects`.
    """
    if len(typical) < 3:
        return []
    known = {name: value for name, value in typical.items() if value is not None}
    usual = float(np.median(list(known.values())))
    return [name for name, value in known.items() if value < SUSPICION * usual]


def record(agreement: Agreement, coverage: dict[str, set[int]], most: int) -> Inconsistency:
    """What some clients' disagreement comes to."""
    scores = inconsistency(agreement, coverage)
    return Inconsistency(
        clients=agreement.clients,
        agreement=typical_agreement(agreement, coverage),
        inconsistency=_by_class(scores),
        unstable=[CLASSES[c] for c in unstable_classes(scores, most)],
        pairs=[
            PairAgreement(
                clients=(agreement.clients[pair[0]], agreement.clients[pair[1]]),
                iou=_by_class(_pair_iou(agreement, pair, coverage)),
            )
            for pair in agreement.pairs
        ],
    )


def record_without_suspects(
    agreement: Agreement, coverage: dict[str, set[int]], most: int
) -> Inconsistency:
    """The content of inconsistency.json: `record` of the clients that agree with the others.

    Suspects are left out where at least `FEWEST_ACCUSERS` others remain; else they are `doubtful`:
    named, and kept.

    Returns:
        `record`; and `agreement`, how far each client agrees, `suspects`, `doubtful`, and `claims`,
        as `lone_claims` gives them.
    """
    typical = typical_agreement(agreement, coverage)
    named = suspects(typical)
    trusted = [name for name in agreement.clients if name not in named]
    doubtful = []
    if len(trusted) < FEWEST_ACCUSERS:
        trusted, named, doubtful = agreement.clients, [], named
    rest = agreement.among(trusted)
    return record(rest, coverage, most).model_copy(
        update={
            "agreement": typical,
            "suspects": tuple(named),
            "doubtful": tuple(doubtful),
            "claims": tuple(lone_claims(rest, coverage)),
        }
    )


def lone_claims(agreement: Agreement, coverage: dict[str, set[int]]) -> list[Claim]:
    """Classes that one client says it knows and no other does, and what the others see there.

    A client that claims a class alone decides alone where it is. So it can be looked up whether it
    calls something by that name which the others call something else: `taken` near 1 says so.

    Returns:
        One for each, where there are three clients or more.
    """
    claims: list[Claim] = []
    clients = agreement.clients
    if len(clients) < 3:
        return claims
    for c in range(NUM_CLASSES):
        knowing = [k for k, name in enumerate(clients) if c in coverage[name]]
        if len(knowing) != 1:
            continue
        (claimant,) = knowing
        # Rows: what the claimant sees; columns: what the others see at the same pixels.
        total = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
        for (first, second), counts in agreement.pairs.items():
            if claimant in (first, second):
                total += counts if first == claimant else counts.T
        if not total[c].any():
            continue
        other = int(total[c].argmax())
        claims.append(
            Claim(
                client=clients[claimant],
                class_name=CLASSES[c],
                pixels=int(total[c].sum()) // (len(clients) - 1),
                seen_as=CLASSES[other],
                share=round(float(total[c, other] / total[c].sum()), 4),
                taken=round(float(total[c, other] / total[:, other].sum()), 4),
            )
        )
    return claims


def _pair_iou(
    agreement: Agreement, pair: tuple[int, int], coverage: dict[str, set[int]]
) -> np.ndarray:
    """IoU of each class between two clients; NaN where either does not know the class."""
    known = set.intersection(*(coverage[agreement.clients[k]] for k in pair))
    values = iou(agreement.pairs[pair])
    values[[c for c in range(NUM_CLASSES) if c not in known]] = np.nan
    return values


def _by_class(values: np.ndarray) -> ByClass:
    return {
        name: None if np.isnan(value) else round(float(value), 6)
        for name, value in zip(CLASSES, values, strict=True)
    }
