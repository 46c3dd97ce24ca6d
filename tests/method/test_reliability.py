import numpy as np
import pytest

from fedseg.method.reliability import client_trust, combine_weights, vote_weights


def test_trust_is_the_mean_over_common_classes():
    consistency = np.array([[0.8, 0.4, 0.0], [0.6, 0.4, 0.2]])
    assert client_trust(consistency, [{0, 1}, {0, 1, 2}]) == pytest.approx([0.6, 0.5])
    assert client_trust(consistency, [{0}, {1, 2}]) == pytest.approx([0.8, 0.3])


def test_the_best_counts_whole_and_nobody_less_than_two_thirds():
    weights = vote_weights(np.array([0.5, 0.49, 0.1]))
    assert weights == pytest.approx([1, 0.98**8, 2 / 3])


def test_a_client_in_doubt_counts_least_however_consistent():
    assert vote_weights(np.array([0.5, 0.99, 0.4]), {1}) == pytest.approx([1, 2 / 3, 2 / 3])


@pytest.mark.parametrize("trust", [[0.0, 0.0], [0.7]])
def test_without_a_difference_all_count_alike(trust):
    assert (vote_weights(np.array(trust)) == 1).all()


def test_weights_by_cross_site_evaluation_join_and_the_bound_holds():
    scored = np.array([[1, 2 / 3], [2 / 3, 1], [1, 1]])
    weights = combine_weights([1, 1, 2 / 3], scored)
    assert weights == pytest.approx(np.array([[1, 2 / 3], [2 / 3, 1], [2 / 3, 2 / 3]]))
    halves = combine_weights([2 / 3, 2 / 3], np.full((2, 1), 2 / 3))
    assert halves == pytest.approx(np.ones((2, 1)))  # relative to the best
