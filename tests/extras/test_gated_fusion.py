"""A world of two clients: one sees the left half of every image well, the other the right half."""

import numpy as np
import torch

from fedseg.extras import gated_fusion as gated
from fedseg.extras.gated_fusion import Gate, fit_gate, fuse_features

CPU = torch.device("cpu")

CLASSES = (0, 2, 8, 10, 13)


def half_blind(rng: np.random.Generator):
    """Labels [h, w], each client's features [h, w, 6], and what the clients say, fused."""
    height, width = 16, 24
    labels = rng.choice(CLASSES, (height, width))
    codes = np.random.default_rng(0).normal(size=(19, 5))
    left = (np.arange(width) < width // 2)[None, :].repeat(height, axis=0)
    features, says = [], []
    for sees in (left, ~left):
        code = np.where(sees[..., None], codes[labels], rng.normal(size=(height, width, 5)))
        # The last feature is what a network has, in whatever form: how familiar this place is.
        seen = np.concatenate([code, np.where(sees, 1.0, -1.0)[..., None]], axis=-1)
        features.append(np.clip(127.5 + 40 * seen, 0, 255).astype(np.uint8))
        guess = np.where(sees, labels, rng.choice(CLASSES, (height, width)))
        says.append(np.eye(19)[guess])
    target = np.rint(255 * sum(says) / 2).astype(np.uint8)
    return labels, left, features, target


def fitted(count: int = 12, seed: int = 0):
    rng = np.random.default_rng(1)
    world = [half_blind(rng) for _ in range(count)]
    learnt = fit_gate(lambda i: world[i][2], lambda i: world[i][3], count, seed, CPU)
    return learnt, half_blind(rng)


def test_trusts_each_client_where_it_sees_and_beats_their_mean():
    learnt, (labels, left, features, target) = fitted()
    _, probabilities = fuse_features(learnt, features)
    fused_right = (probabilities.argmax(axis=-1) == labels).mean()
    mean_right = (target.argmax(axis=-1) == labels).mean()
    assert fused_right > 0.95 > mean_right
    with torch.inference_mode():
        weights = learnt([torch.tensor(f).float() / 127.5 - 1 for f in features])[2]
    trusts_first = weights[..., 0].numpy()
    assert trusts_first[left].mean() > 2 * trusts_first[~left].mean()


def test_same_seed_same_gate(monkeypatch):
    monkeypatch.setattr(gated, "STEPS", 20)
    first, second = (fitted(count=2, seed=5)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_clients_of_different_widths():
    fused, logits, weights = Gate([3, 32], 19)([torch.zeros(4, 5, 3), torch.zeros(4, 5, 32)])
    assert fused.shape == (4, 5, 32)
    assert logits.shape == (4, 5, 19)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(4, 5))
