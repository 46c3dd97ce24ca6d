from dataclasses import replace

import numpy as np
import pytest
import torch

from fedseg.method.context import open_context
from fedseg.method.labelling import label_images
from fedseg.method.reliability import add_trust, client_trust, combine_weights, vote_weights
from fedseg.method.teachers import open_teachers
from fedseg.models import checkpoints
from fedseg.run.progress import silent
from fedseg.run.records import Inconsistency


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


def test_a_client_that_is_consistent_and_wrong_is_not_trusted(run, federation):
    """It permutes the classes of the best one, so it sees the same in every copy."""
    network, info = checkpoints.load(run.clients / "one")
    with torch.no_grad():
        for tensor in network.segmentation_head[0].parameters():
            known = sorted(info.coverage)
            tensor[known] = tensor[known[1:] + known[:1]]
    wrong = run.clients / "wrong"
    checkpoints.save(wrong, network, info)
    clients = {"one": run.clients / "one", "two": run.clients / "two", "wrong": wrong}
    context = replace(open_context(run, federation, silent), clients=clients)
    teachers = open_teachers(clients)
    assert not label_images(context, teachers, context.images, context.student)
    content = Inconsistency(
        clients=[*clients],
        agreement=dict.fromkeys(clients, 0.5),
        inconsistency={},
        unstable=[],
        pairs=[],
        doubtful=("wrong",),
    )
    content = add_trust(context, teachers, content)
    assert content.trust["wrong"] > content.trust["one"] / 2 > 0
    assert content.weights["wrong"] == pytest.approx(2 / 3)
    assert content.ranked[-1] == "wrong"
    assert content.consistency["one"]["fence"] is None  # which it was never shown
