import numpy as np
import pytest

from fedseg.distillation.fusion.mean import balance, fuse

ALL = set(range(19))


def one_hot(train_id, chance=255):
    pixel = np.zeros((1, 1, 19), np.uint8)
    pixel[..., train_id] = chance
    return pixel


def test_fusion_is_the_mean_where_all_know_all():
    fused = fuse([one_hot(0), one_hot(0), one_hot(1), one_hot(2)], [ALL] * 4)[0, 0]
    assert fused[:3] == pytest.approx([0.5, 0.25, 0.25])


def test_a_class_is_not_voted_down_by_clients_who_never_saw_it():
    # Two of three know terrain (9) and see it; the third, who does not, says vegetation (8).
    # Terrain: mean over the two = 1. Vegetation: mean over the three = 1/3. So 3/4 and 1/4.
    fused = fuse([one_hot(9), one_hot(9), one_hot(8)], [ALL, ALL, ALL - {9}])[0, 0]
    assert fused[[9, 8]] == pytest.approx([0.75, 0.25])


def test_a_vote_for_an_unknown_class_does_not_count():
    fused = fuse([one_hot(9), one_hot(8)], [ALL - {9}, ALL])[0, 0]
    assert fused[[8, 9]] == pytest.approx([1, 0])


@pytest.mark.parametrize("clients", [3, 4, 5, 10, 50])
def test_one_client_against_all_others_has_little_more_than_its_share(clients):
    """All others are certain of a person. One says it is a train, in every way that is allowed."""
    person, train = 11, 16
    others = [one_hot(person)] * (clients - 1)
    for known in (ALL, ALL - {person}, {train}):
        for knows_train in (True, False):
            honest = ALL if knows_train else ALL - {train}
            for weight in (None, 2 / 3):
                weights = None
                if weight:  # the others' cross-site scores are worse, by as much as may be
                    weights = np.full((clients, 19), weight, np.float32)
                    weights[-1] = 1
                coverage = [honest] * (clients - 1) + [known]
                fused = fuse([*others, one_hot(train)], coverage, weights)[0, 0]
                assert fused[train] < min(1.5 / clients, 0.5)
                assert fused.argmax() == person


def test_a_class_that_one_client_alone_knows_is_seen_where_the_others_are_unsure():
    unsure = one_hot(2, 100) + one_hot(14, 100) + one_hot(15, 55)
    fused = fuse([unsure, unsure, one_hot(16)], [ALL - {16}, ALL - {16}, ALL])[0, 0]
    assert fused.argmax() == 16


@pytest.fixture
def pixel():
    """Road 0.6, pole 0.3, sky 0.1; road is 64 times as common as pole, and sky as road."""
    fused, prior = np.zeros((1, 1, 19), np.float32), np.zeros(19)
    fused[0, 0, [0, 5, 10]] = 0.6, 0.3, 0.1
    prior[[0, 5, 10]] = 0.64, 0.01, 0.64
    return fused, prior


def test_balanced_targets_undo_the_prior(pixel):
    # Half the correction divides by sqrt(0.64) = 0.8 and sqrt(0.01) = 0.1: 0.75, 3 and 0.125.
    target = balance(*pixel, strength=0.5, temperature=1.0)[0, 0]
    expected = np.array([0.75, 3, 0.125]) / 3.875
    assert target[[0, 5, 10]] / 255 == pytest.approx(expected, abs=1 / 500)
    assert target.sum() == pytest.approx(255, abs=2)


def test_a_low_temperature_sharpens(pixel):
    target = balance(*pixel, strength=0.0, temperature=0.5)[0, 0]
    expected = np.array([0.36, 0.09, 0.01]) / 0.46
    assert target[[0, 5, 10]] / 255 == pytest.approx(expected, abs=1 / 500)


def test_neither_changes_nothing(pixel):
    target = balance(*pixel, strength=0.0, temperature=1.0)
    assert target.argmax() == 0
    assert target[0, 0, [0, 5, 10]] / 255 == pytest.approx([0.6, 0.3, 0.1], abs=1 / 500)


def test_classes_nobody_predicts_stay_at_nought(pixel):
    target = balance(*pixel, strength=1.0, temperature=0.5)[0, 0]
    assert target[[c for c in range(19) if c not in (0, 5, 10)]].max() == 0
