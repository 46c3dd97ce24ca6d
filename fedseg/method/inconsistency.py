"""Where client models disagree: FedS2R's inconsistency, by class."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations

import numpy as np

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.data.loading import prefetch
from fedseg.data.shards import sharded
from fedseg.evaluation.metrics import overlap_iou
from fedseg.method.teachers import Teacher
from fedseg.run.progress import Progress
from fedseg.run.records import ByClass, Claim, Inconsistency, PairAgreement

SUSPICION = 0.5
"""Part of the usual agreement below which a client is suspected."""
FEWEST_ACCUSERS = 3
"""Clients that must agree with each other before one that does not is left out: of three, two that
permute classes in the same way would have the honest one left out."""


class Agreement:
    """Counts, image by image, which classes the clients give to the same cells.

    Attributes:
        coverage: the trainIds that each client was trained on, by its name.
        clients: their names.
        pairs: of places in `clients`, the smaller first.
        classes: C of them, by trainId.
        given: int64 [K, C], cells to which a client gives a class.
        shared: int64 [K, K, C], cells to which both of two clients give a class.
        claimants: of each class that only one client knows, the place of that client.
        elsewhere: int64 [C, C], for the cells to which the claimant of a class (first axis) gives
            it, how often the other clients give each class (second axis) to them.
    """

    def __init__(self, coverage: dict[str, set[int]], classes: ClassList = CITYSCAPES) -> None:
        count = len(coverage)
        self.classes = classes
        self.coverage = coverage
        self.clients = list(coverage)
        self.pairs = list(combinations(range(count), 2))
        self.given = np.zeros((count, len(classes)), np.int64)
        self.shared = np.zeros((count, count, len(classes)), np.int64)
        self.claimants = {}
        for c in range(len(classes)):
            knowing = [k for k, known in enumerate(coverage.values()) if c in known]
            if len(knowing) == 1:
                self.claimants[c] = knowing[0]
        self.elsewhere = np.zeros((len(classes), len(classes)), np.int64)

    def update(self, predictions: list[np.ndarray]) -> None:
        """Add one image: each client's trainIds, uint8 [h, w], in the order of `clients`."""
        maps = np.stack(predictions).reshape(len(predictions), -1)
        cells = maps.shape[1]
        places = maps * np.int64(cells) + np.arange(cells)
        votes = np.bincount(places.ravel(), minlength=len(self.classes) * cells)
        votes = votes.reshape(len(self.classes), cells)
        by_cell = np.ascontiguousarray(maps.T)
        for c in map(int, np.flatnonzero(votes.any(axis=1))):
            # A product of float32 matrices of 0 and 1 is exact up to 2^24 cells.
            is_c = (by_cell[np.flatnonzero(votes[c])] == c).astype(np.float32)
            both = (is_c.T @ is_c).astype(np.int64)
            self.shared[:, :, c] += both
            self.given[:, c] += both.diagonal()
        for c, claimant in self.claimants.items():
            claimed = maps[claimant] == c
            self.elsewhere[c] += votes[:, claimed].sum(axis=1)
            self.elsewhere[c, c] -= claimed.sum()  # its own

    def add(self, other: "Agreement") -> None:
        """Add what was counted on other images, for the same clients."""
        self.given += other.given
        self.shared += other.shared
        self.elsewhere += other.elsewhere


def compare_clients(teachers: Mapping[str, Teacher], progress: Progress) -> Agreement:
    """Count, image by image, on which cells the clients agree.

    Args:
        teachers: that have predicted the same images.
        progress: receives the state of the work.
    """
    coverage = {name: teacher.coverage for name, teacher in teachers.items()}
    first = next(iter(teachers.values()))
    agreement, images = Agreement(coverage, first.class_list), range(len(first.files))

    def count(index: int) -> Agreement:
        counted = Agreement(coverage, first.class_list)
        counted.update([teacher.classes(index) for teacher in teachers.values()])
        return counted

    for done, counted in enumerate(sharded(partial(prefetch, count), images), 1):
        agreement.add(counted)
        progress("comparing clients", done, len(images))
    return agreement


def class_inconsistency(agreement: Agreement) -> np.ndarray:
    """Inconsistency of each class over a dataset.

    I_c = 1 - mean over pairs (k, l) with c in both S_k and S_l of IoU_c(argmax z_k, argmax z_l),
    the IoU being taken over all pixels of all images.

    Args:
        agreement: the counts; its coverage is S_k, the trainIds that client k was trained on.

    Returns:
        float64 [C], 0..1; NaN for a class that no two clients know, or none of them predicts.
    """
    rows = [_pair_iou(agreement, pair) for pair in agreement.pairs]
    if not rows:
        return np.full(len(agreement.classes), np.nan)
    values = np.stack(rows)
    counted = (~np.isnan(values)).sum(axis=0)
    mean = np.divide(
        np.nansum(values, axis=0), counted, out=np.full(len(values[0]), np.nan), where=counted > 0
    )
    return 1 - mean


def unstable_classes(scores: np.ndarray, most: int) -> list[int]:
    """TrainIds of the classes with the highest inconsistency, highest first; NaNs never count."""
    ranked = sorted(np.flatnonzero(~np.isnan(scores)), key=lambda c: -scores[c])
    return [int(c) for c in ranked[:most] if scores[c] > 0]


def typical_agreement(agreement: Agreement) -> dict[str, float | None]:
    """How far each client agrees with the others, 0..1: the median over its pairs of their mIoU.

    The median, because one client that agrees with nobody must not count against those it is paired
    with. None for a client without others.
    """
    by_client: dict[str, list[float]] = {name: [] for name in agreement.clients}
    for pair in agreement.pairs:
        values = _pair_iou(agreement, pair)
        mean = np.nanmean(values) if not np.isnan(values).all() else 0.0
        for k in pair:
            by_client[agreement.clients[k]].append(float(mean))
    return {name: float(np.median(means)) if means else None for name, means in by_client.items()}


def find_suspects(typical: dict[str, float | None]) -> list[str]:
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


def record_agreement(agreement: Agreement, most: int) -> Inconsistency:
    """What some clients' disagreement comes to."""
    scores, classes = class_inconsistency(agreement), agreement.classes
    return Inconsistency(
        clients=agreement.clients,
        agreement=typical_agreement(agreement),
        inconsistency=by_class(scores, classes),
        unstable=[classes.names[c] for c in unstable_classes(scores, most)],
        pairs=[
            PairAgreement(
                clients=(agreement.clients[pair[0]], agreement.clients[pair[1]]),
                iou=by_class(_pair_iou(agreement, pair), classes),
            )
            for pair in agreement.pairs
        ],
    )


def record_without_suspects(
    agreement: Agreement,
    most: int,
    among: Callable[[list[str]], Agreement],
) -> Inconsistency:
    """The content of inconsistency.json, of the clients that agree with the others.

    Suspects are left out where at least `FEWEST_ACCUSERS` others remain; else they are `doubtful`:
    named, and kept.

    Args:
        agreement: of all clients.
        most: how many classes count as unstable.
        among: counts again for some of the clients; called only where others are left out.

    Returns:
        The record of `record_agreement`, with how far each client agrees, the suspects, those that
        are doubtful, and the claims that `lone_claims` gives.
    """
    typical = typical_agreement(agreement)
    named = find_suspects(typical)
    trusted = [name for name in agreement.clients if name not in named]
    doubtful = []
    if len(trusted) < FEWEST_ACCUSERS:
        trusted, named, doubtful = agreement.clients, [], named
    rest = among(trusted) if named else agreement
    return record_agreement(rest, most).model_copy(
        update={
            "agreement": typical,
            "suspects": tuple(named),
            "doubtful": tuple(doubtful),
            "claims": tuple(lone_claims(rest)),
        }
    )


def lone_claims(agreement: Agreement) -> list[Claim]:
    """Classes that one client says it knows and no other does, and what the others see there.

    A client that claims a class alone decides alone where it is. So it can be looked up whether it
    calls something by that name which the others call something else: `taken` near 1 says so.

    Returns:
        One for each, where there are three clients or more.
    """
    claims: list[Claim] = []
    if len(agreement.clients) < 3:
        return claims
    for c, claimant in agreement.claimants.items():
        seen = agreement.elsewhere[c]
        if not seen.any():
            continue
        other = int(seen.argmax())
        everywhere = agreement.given[:, other].sum() - agreement.given[claimant, other]
        claims.append(
            Claim(
                client=agreement.clients[claimant],
                class_name=agreement.classes.names[c],
                pixels=int(seen.sum()) // (len(agreement.clients) - 1),
                seen_as=agreement.classes.names[other],
                share=round(float(seen[other] / seen.sum()), 4),
                taken=round(float(seen[other] / everywhere), 4),
            )
        )
    return claims


def _pair_iou(agreement: Agreement, pair: tuple[int, int]) -> np.ndarray:
    """IoU of each class between two clients; NaN where either does not know the class."""
    known = set.intersection(*(agreement.coverage[agreement.clients[k]] for k in pair))
    first, second = pair
    given = agreement.given
    values = overlap_iou(given[first], given[second], agreement.shared[first, second])
    values[[c for c in range(len(values)) if c not in known]] = np.nan
    return values


def by_class(values: np.ndarray, classes: ClassList) -> ByClass:
    """Values of float [C] by the names of the classes; None for NaN."""
    return {
        name: None if np.isnan(value) else round(float(value), 6)
        for name, value in zip(classes.names, values, strict=True)
    }
