import numpy as np
import pytest

from fedseg.data.sampling import TEMPERATURE, RareClassSampler, rare_class_probabilities


def test_probabilities_by_hand():
    # f = (0.52, 0.48): exp(0.48 / T) against exp(0.52 / T), absent classes get nothing.
    counts = np.array([[52, 48, 0]])
    probabilities = rare_class_probabilities(counts)
    ratio = np.exp((0.52 - 0.48) / TEMPERATURE)
    assert probabilities == pytest.approx([1 / (1 + ratio), ratio / (1 + ratio), 0])


def test_rare_images_are_drawn_more_often_than_their_share():
    counts = np.zeros((100, 19), np.int64)
    counts[:, :10] = 100
    counts[7, 16] = 50  # the only train in 100 images
    sampler = RareClassSampler(counts)
    rng = np.random.default_rng(0)
    draws = np.array([sampler.draw(rng) for _ in range(1000)])
    assert (draws == 7).mean() > 0.2
    assert len(set(draws)) > 50  # the others are not forgotten


def test_draws_depend_on_the_generator_alone():
    counts = np.random.default_rng(0).integers(0, 100, (20, 19))
    one, two = (RareClassSampler(counts) for _ in range(2))
    assert [one.draw(np.random.default_rng(s)) for s in range(20)] == [
        two.draw(np.random.default_rng(s)) for s in range(20)
    ]
