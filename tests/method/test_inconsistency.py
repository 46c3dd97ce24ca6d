import numpy as np
import pytest

from fedseg.classes import CLASSES
from fedseg.method.inconsistency import (
    Agreement,
    class_inconsistency,
    find_suspects,
    lone_claims,
    record_agreement,
    record_without_suspects,
    typical_agreement,
    unstable_classes,
)

ALL = set(range(19))


def agreement_of(*clients, coverage=None):
    names = [str(k) for k in range(len(clients))]
    agreement = Agreement(coverage or {name: ALL for name in names})
    agreement.update([np.array(client, np.uint8) for client in clients])
    return agreement


def test_two_clients_by_hand():
    # road: both say it twice, one of them once more: IoU 2/3. sky: IoU 1/2.
    agreement = agreement_of([0, 0, 0, 10], [0, 0, 10, 10])
    scores = class_inconsistency(agreement)
    assert scores[0] == pytest.approx(1 / 3)
    assert scores[10] == pytest.approx(1 / 2)
    assert np.isnan(np.delete(scores, [0, 10])).all()


def test_counts_add_up_over_images():
    # IoU over the dataset (1/3), not the mean of the images' (1 and 0: 1/2).
    agreement = agreement_of([0], [0])
    agreement.update([np.array([0, 1], np.uint8), np.array([1, 0], np.uint8)])
    assert class_inconsistency(agreement)[0] == pytest.approx(1 - 1 / 3)


def test_a_pair_counts_only_for_classes_both_were_trained_on():
    # Client 2 does not know terrain (9): only the pair (0, 1) may speak of it, and it agrees.
    coverage = {"0": ALL, "1": ALL, "2": ALL - {9}}
    scores = class_inconsistency(agreement_of([9, 9], [9, 9], [8, 8], coverage=coverage))
    assert scores[9] == pytest.approx(0)
    assert scores[8] == pytest.approx(1)  # pairs (0, 2) and (1, 2) never agree on vegetation


def test_a_client_alone_is_consistent_with_nobody():
    assert np.isnan(class_inconsistency(agreement_of([0, 1]))).all()


def test_unstable_classes_are_ranked_and_predicted():
    scores = np.full(19, np.nan)
    scores[[3, 5, 7]] = [0.2, 0.9, 0.0]
    assert unstable_classes(scores, 5) == [5, 3]
    assert unstable_classes(scores, 1) == [5]


def test_record_names_classes_and_pairs():
    content = record_agreement(agreement_of([0, 0, 0, 10], [0, 0, 10, 10]), 1)
    assert content.unstable == ["sky"]
    assert list(content.inconsistency) == list(CLASSES)
    assert content.pairs[0].clients == ("0", "1")
    assert content.pairs[0].iou["road"] == pytest.approx(2 / 3, abs=1e-6)
    assert content.pairs[0].iou["bus"] is None


def test_the_client_that_agrees_most_is_the_one_in_the_middle():
    # 0 and 2 share nothing; 1 agrees with each by half. Each class IoU by hand: 1/2 or 0.
    agreement = agreement_of([0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1])
    typical = typical_agreement(agreement)
    assert typical["1"] == pytest.approx(1 / 4)  # the mIoU (1/2 + 0) / 2 with either of the others
    assert typical["0"] == typical["2"] == pytest.approx(1 / 8)  # median of 1/4 and 0
    assert max(typical, key=typical.get) == "1"


def test_a_client_alone_agrees_with_nobody():
    assert typical_agreement(agreement_of([0, 1])) == {"0": None}


@pytest.fixture
def good():
    """Three clients that see the same street, each wrong in a third of the places."""
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2, 8, 10, 13], 3000, p=[0.4, 0.1, 0.2, 0.1, 0.1, 0.1])
    wrong = rng.integers(0, 19, (3, 3000))
    return [np.where(rng.random(3000) < 0.33, other, truth) for other in wrong]


@pytest.mark.parametrize("kind", ["random", "permuted", "constant"])
def test_a_garbage_client_is_suspected(good, kind):
    rng = np.random.default_rng(1)
    bad = {
        "random": rng.integers(0, 19, 3000),
        "permuted": (good[0] + 7) % 19,
        "constant": np.zeros(3000, int),
    }[kind]
    agreement = agreement_of(*good, bad)
    assert find_suspects(typical_agreement(agreement)) == ["3"]


def test_honest_clients_are_not_suspected(good):
    typical = typical_agreement(agreement_of(*good))
    assert find_suspects(typical) == []
    assert find_suspects({"0": 0.5, "1": 0.0}) == []  # of two, who could tell


def test_a_suspect_is_left_out_only_if_three_others_agree(good):
    bad = (good[0] + 7) % 19
    for honest, suspected, doubtful in ((3, ["3"], []), (2, [], ["2"])):
        clients = [*good[:honest], bad]
        rest = agreement_of(*good[:honest])
        asked = []
        content = record_without_suspects(
            agreement_of(*clients),
            1,
            lambda names, rest=rest, asked=asked: asked.append(names) or rest,
        )
        assert asked == ([["0", "1", "2"]] if suspected else [])
        assert list(content.suspects) == suspected
        assert list(content.doubtful) == doubtful
        assert len(content.clients) == 3


def test_two_of_three_that_permute_classes_do_not_have_the_honest_one_left_out(good):
    permuted = [(seen + 7) % 19 for seen in good[:2]]
    agreement = agreement_of(*permuted, good[2])
    content = record_without_suspects(agreement, 1, None)
    assert content.clients == ["0", "1", "2"]
    assert list(content.doubtful) == ["2"]


def test_what_others_see_where_one_claims_a_class_alone_is_reported(good):
    """Client 2 says it alone knows trains, and calls every other person one."""
    person, train = 11, 16
    truth = np.array([0] * 60 + [person] * 40)
    claimed = truth.copy()
    claimed[60:80] = train
    coverage = {"0": ALL - {train}, "1": ALL - {train}, "2": ALL - {person}}
    (claim,) = lone_claims(agreement_of(truth, truth, claimed, coverage=coverage))
    assert claim.content() == {
        "client": "2",
        "class": "train",
        "pixels": 20,
        "seen_as": "person",
        "share": 1.0,
        "taken": 0.5,
    }
    assert lone_claims(agreement_of(truth, claimed, coverage={"0": ALL - {train}, "1": ALL})) == []


def test_what_is_counted_is_in_the_confusion_matrices_of_the_pairs():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 19, (5, 7, 9), dtype=np.uint8) for _ in range(3)]
    coverage = {name: set(range(k, k + 15)) for k, name in enumerate("abcde")}
    agreement, *parts = (Agreement(coverage) for _ in range(3))
    for part, shown in zip(parts, (images[:2], images[2:]), strict=True):
        for maps in shown:
            part.update(list(maps))
        agreement.add(part)

    def confusion(first, second):
        pairs = [(maps[first].ravel(), maps[second].ravel()) for maps in images]
        return sum(np.histogram2d(*p, bins=19, range=[(0, 19)] * 2)[0] for p in pairs)

    for first, second in agreement.pairs:
        expected = confusion(first, second)
        assert (agreement.shared[first, second] == expected.diagonal()).all()
        assert (agreement.given[first] == expected.sum(axis=1)).all()
    assert agreement.claimants == {0: 0, 18: 4}
    for c, claimant in agreement.claimants.items():
        others = sum(confusion(claimant, other) for other in range(5) if other != claimant)
        assert (agreement.elsewhere[c] == others[c]).all()
