"""From the clients' predictions to one soft target a pixel."""

from functools import partial
from statistics import median_low

import numpy as np

from fedseg.data.shards import sharded
from fedseg.method.fusion.task import FusionTask
from fedseg.method.teachers import write_target

FEWEST_VOTERS = 2 / 3
"""Part of the clients by which a class's votes are divided at least. See `cast_votes`."""
RAREST = 1e-3
"""Smallest share of the pixels that a class counts as having: what bounds the correction."""


def cast_votes(
    probabilities: list[np.ndarray], coverage: list[set[int]], weights: np.ndarray | None = None
) -> np.ndarray:
    """How much each client says for each class, so that their sum is the class-aware mean.

    t_c ~ sum over k with c in S_k of w_k,c p_k,c / max(sum over the same k of w_k,c, 2 K / 3),
    normalised over c. So a class that one client was never shown is not voted down by it.

    The maximum bounds what one client can do that says it alone knows a class: where all others
    are certain of another class, its share of the target is less than 1.5 / K, and so less than
    half from K = 3 on. Weights of one class may differ by a factor of 1.5 at most for that to hold.

    Args:
        probabilities: each client's, uint8 [h, w, C].
        coverage: S_k, the trainIds each client was trained on.
        weights: float32 [K, C], 2/3..1, how much each one's vote for each class counts; default:
            the same.

    Returns:
        float32 [K, h, w, C], sums to 1 over clients and classes.
    """
    classes = probabilities[0].shape[-1]
    knows = np.array([[c in known for c in range(classes)] for known in coverage])
    counts = (knows if weights is None else knows * weights).astype(np.float32)
    counts /= np.maximum(counts.sum(axis=0), FEWEST_VOTERS * len(probabilities))
    votes = np.stack([p * count for p, count in zip(probabilities, counts, strict=True)])
    votes /= np.maximum(votes.sum(axis=(0, -1))[..., np.newaxis], 1e-6)
    return votes


def typical_prior(priors: np.ndarray, coverage: list[set[int]]) -> np.ndarray:
    """How common each class is: the median over the clients that know it, of two the lower value.

    So one client among three that know a class moves its prior at most to what an honest one says.

    Args:
        priors: float [K, C], each client's mean probability of each class over the dataset.
        coverage: S_k, the trainIds each client was trained on.

    Returns:
        float [C]; 0 for a class that nobody knows.
    """
    prior = np.zeros(priors.shape[1])
    for c in range(len(prior)):
        known = [own[c] for own, classes in zip(priors, coverage, strict=True) if c in classes]
        if known:
            prior[c] = median_low(known)
    return prior


def balance_votes(
    votes: np.ndarray, prior: np.ndarray, strength: float, temperature: float
) -> np.ndarray:
    """Raise the classes that the clients are too shy to predict, and sharpen.

    t_c ~ (p_c / prior_c^strength)^(1 / T). Averaging models that disagree leaves rare classes below
    the common ones nearly everywhere; dividing by how common a class is in the predictions is the
    post-hoc logit adjustment of Menon et al. (arXiv 2007.07314, eq. 9). A temperature below 1
    sharpens, as in MixMatch (Berthelot et al., arXiv 1905.02249, eq. 7).

    From three clients on, a client's vote is raised only as far as another one votes for the class:
    what is above the second largest vote for it counts as much as votes for the class that the
    mean gives there. So what one client says alone stays the small share that `cast_votes` bounds.

    Args:
        votes: float32 [K, h, w, C], sums to 1 over clients and classes.
        prior: float [C], as `typical_prior` gives it.
        strength: 0 leaves the classes as they are, 1 takes the prior out entirely.
        temperature: T, above 0.

    Returns:
        uint8 [h, w, C], 255 = certain.
    """
    factors = np.maximum(prior, RAREST).astype(np.float32) ** -strength
    fused = votes.sum(axis=0)
    raised = fused * factors
    if len(votes) >= 3:
        second, largest = np.partition(votes, -2, axis=0)[-2:]
        common = factors[fused.argmax(axis=-1)][..., np.newaxis]
        raised -= (largest - second) * np.maximum(factors - common, 0)
    target = np.maximum(raised, 0) ** (1 / temperature)
    target /= np.maximum(target.sum(axis=-1, keepdims=True), 1e-12)
    return np.rint(target * 255).astype(np.uint8)


def write_targets(task: FusionTask) -> None:
    """Write the class-aware mean of each image, balanced and sharpened."""
    settings, images = task.settings, range(len(task))

    def shares(place: int) -> np.ndarray:
        means = [p.mean(axis=(0, 1)) / 255 for p in task.predictions(place)]
        return np.stack(means) / len(images)

    def write(place: int) -> None:
        votes = cast_votes(task.predictions(place), task.coverage, task.weights)
        target = balance_votes(votes, prior, settings.class_balance, settings.temperature)
        write_target(task.folder, place, target)

    priors = np.zeros((len(task.teachers), len(task.student.classes)))
    for done, part in enumerate(sharded(partial(map, shares), images), 1):
        priors += part
        task.progress("measuring class priors", done, len(images))
    prior = typical_prior(priors, task.coverage)
    for done, _ in enumerate(sharded(partial(map, write), images), 1):
        task.progress("fusing targets", done, len(images))
