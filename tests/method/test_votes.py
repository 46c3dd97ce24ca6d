import shutil

import numpy as np
import pytest

from fedseg.classes import CITYSCAPES
from fedseg.errors import FedsegError
from fedseg.method.cross_site import LEAST
from fedseg.method.fusion.mean import cast_votes
from fedseg.method.votes import client_votes, keep_score, missing_sites


def confusion(**pixels: int) -> list[int]:
    """A matrix with these counts: confusion(true0_as1=5)."""
    matrix = np.zeros((19, 19), int)
    for name, count in pixels.items():
        true, predicted = name.removeprefix("true").split("_as")
        matrix[int(true), int(predicted)] = count
    return matrix.ravel().tolist()


def test_a_vote_counts_what_a_client_is_worth_elsewhere(run):
    names = ["one", "two", "three"]
    keep_score(run, "one", "two", confusion(true0_as0=6, true0_as1=2), CITYSCAPES)
    keep_score(run, "one", "three", confusion(true0_as0=2, true1_as1=5), CITYSCAPES)
    keep_score(run, "two", "one", confusion(true0_as0=1, true0_as2=3), CITYSCAPES)
    assert missing_sites(run, "two", names) == ["three"]
    found = client_votes(run, names, CITYSCAPES)
    # Class 0: client one has 6/8 and 2/2 at its two sites, median 7/8; client two has 1/4.
    assert found[0, 0] == 1
    assert found[1, 0] == pytest.approx(LEAST)  # 2/7 of the best, raised
    assert found[0, 1] == 1
    # Nobody's data has class 2: that one client predicts it there says nothing of anybody.
    assert (found[:, 2] == 1).all()
    # Client three was not scored at all, client two not on class 1: as the others on average.
    assert found[2, 0] == pytest.approx(max((7 / 8 + 1 / 4) / 2 / (7 / 8), LEAST))
    assert found[1, 1] == found[2, 1] == 1


def test_one_site_of_four_does_not_decide(run):
    """It says that its accomplice is right everywhere, others nowhere, with 10^15 pixels each."""
    names = ["one", "two", "three", "liar"]
    for model in names:
        copy = run.clients / model
        if not copy.is_dir():
            shutil.copytree(run.clients / "one", copy)
        for site in names:
            if site == model:
                continue
            honest = confusion(true0_as0=8, true0_as1=2)
            lie = confusion(true0_as0=10**15) if model == "one" else confusion(true0_as1=10**15)
            keep_score(run, model, site, lie if site == "liar" else honest, CITYSCAPES)
    found = client_votes(run, names, CITYSCAPES)[:, 0]
    assert found[:3] == pytest.approx([1, 1, 1])  # the honest sites' median, 8/10, for all


def test_without_scores_all_count_the_same(run):
    weights = client_votes(run, ["one", "two"], CITYSCAPES)
    probabilities = [np.random.default_rng(s).integers(0, 13, (3, 4, 19), np.uint8) for s in (0, 1)]
    coverage = [set(range(19)), set(range(10))]
    assert np.allclose(
        cast_votes(probabilities, coverage, weights).sum(axis=0),
        cast_votes(probabilities, coverage).sum(axis=0),
    )


def test_useless_where_it_was_scored_it_keeps_some_say(run):
    keep_score(run, "one", "two", confusion(true3_as4=9), CITYSCAPES)
    keep_score(run, "two", "one", confusion(true3_as3=9), CITYSCAPES)
    assert client_votes(run, ["one", "two"], CITYSCAPES)[:, 3] == pytest.approx([LEAST, 1])


@pytest.mark.parametrize("answer", [[1, 2, 3], [-1] * 361, []])
def test_no_matrix_is_no_answer(run, answer):
    with pytest.raises(FedsegError, match="confusion matrix"):
        keep_score(run, "one", "two", answer, CITYSCAPES)
    assert missing_sites(run, "one", ["one", "two"]) == ["two"]
