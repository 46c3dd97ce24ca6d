"""Whom the server trusts: how much each client's vote counts."""

from collections.abc import Collection, Sequence

import numpy as np

from fedseg.method.consistency import class_consistency
from fedseg.method.context import Context
from fedseg.method.cross_site import LEAST
from fedseg.method.inconsistency import by_class
from fedseg.method.teachers import Teachers
from fedseg.run.records import Inconsistency

POWER = 8
"""How fast trust falls with consistency. `LEAST` bounds it, so that the result hardly depends on
it: a client that is 5 % less consistent than the best has the smallest weight already."""


def add_trust(context: Context, teachers: Teachers, agreement: Inconsistency) -> Inconsistency:
    """Measure how consistent each client is with itself, and how much its vote counts for that.

    Args:
        context: of the run.
        teachers: that have predicted the server's own images.
        agreement: to which it is added.
    """
    consistency, classes = class_consistency(context, teachers), context.federation.classes
    coverage = [teacher.coverage for teacher in teachers.values()]
    trust = client_trust(consistency, coverage)
    doubtful = {place for place, name in enumerate(teachers) if name in agreement.doubtful}
    weights = vote_weights(trust, doubtful)
    known = [[c in own for c in range(len(classes))] for own in coverage]
    rows = zip(teachers, np.where(known, consistency, np.nan), strict=True)
    return agreement.model_copy(
        update={
            "consistency": {name: by_class(row, classes) for name, row in rows},
            "trust": dict(zip(teachers, trust.round(6).tolist(), strict=True)),
            "weights": dict(zip(teachers, weights.round(6).tolist(), strict=True)),
        }
    )


def client_trust(consistency: np.ndarray, coverage: list[set[int]]) -> np.ndarray:
    """Mean consistency of each client over the classes that all of them know.

    A client that knows fewer classes would otherwise gain by leaving out the difficult ones. Where
    no class is known to all, each client's mean is over its own.

    Args:
        consistency: float [K, C], 0..1, as of `consistency.class_consistency`.
        coverage: S_k, the trainIds that each client was trained on.

    Returns:
        float64 [K], 0..1.
    """
    common = set.intersection(*coverage)
    means = [row[sorted(common or own)] for row, own in zip(consistency, coverage, strict=True)]
    return np.array([mean.mean() if mean.size else 0.0 for mean in means])


def vote_weights(trust: np.ndarray, doubtful: Collection[int] = ()) -> np.ndarray:
    """How much each client's vote counts: max((trust_k / trust of the best)^8, 2/3).

    With the minimum, no client outvotes the others: see `fusion.mean.cast_votes`.

    Args:
        trust: float [K], 0..1, as of `client_trust`.
        doubtful: places of clients that agree with nobody: a model can be consistent and wrong.

    Returns:
        float64 [K], 2/3..1.
    """
    trusted = np.array([place not in doubtful for place in range(len(trust))])
    best = trust[trusted].max(initial=0.0)
    if not best:
        return np.ones(len(trust))
    weights = np.clip((trust / best) ** POWER, LEAST, 1)
    return np.where(trusted, weights, LEAST)


def combine_weights(trust: Sequence[float], scored: np.ndarray) -> np.ndarray:
    """Weights by consistency times those by cross-site evaluation.

    Args:
        trust: K of them, as of `vote_weights`.
        scored: float [K, C], as of `cross_site.vote_reliability`.

    Returns:
        float32 [K, C], 2/3..1 relative to the largest of each class.
    """
    weights = np.array(trust)[:, np.newaxis] * scored
    return np.maximum(weights / weights.max(axis=0), LEAST).astype(np.float32)
