from types import SimpleNamespace

import numpy as np
import pytest

from fedseg.classes import CITYSCAPES
from fedseg.config import Distillation
from fedseg.method.fusion.mean import balance_votes, cast_votes, typical_prior, write_targets
from fedseg.method.fusion.task import FusionTask
from fedseg.method.teachers import read_target
from fedseg.run.progress import silent

ALL = set(range(19))
ROAD, BUILDING, POLE, SKY, PERSON, TRAIN = 0, 2, 5, 10, 11, 16


def one_hot(train_id, chance=255):
    pixel = np.zeros((1, 1, 19), np.uint8)
    pixel[..., train_id] = chance
    return pixel


def test_fusion_is_the_mean_where_all_know_all():
    fused = cast_votes([one_hot(0), one_hot(0), one_hot(1), one_hot(2)], [ALL] * 4).sum(axis=0)[
        0, 0
    ]
    assert fused[:3] == pytest.approx([0.5, 0.25, 0.25])


def test_a_class_is_not_voted_down_by_clients_who_never_saw_it():
    # Two of three know terrain (9) and see it; the third, who does not, says vegetation (8).
    # Terrain: mean over the two = 1. Vegetation: mean over the three = 1/3. So 3/4 and 1/4.
    fused = cast_votes([one_hot(9), one_hot(9), one_hot(8)], [ALL, ALL, ALL - {9}]).sum(axis=0)[
        0, 0
    ]
    assert fused[[9, 8]] == pytest.approx([0.75, 0.25])


def test_a_vote_for_an_unknown_class_does_not_count():
    fused = cast_votes([one_hot(9), one_hot(8)], [ALL - {9}, ALL]).sum(axis=0)[0, 0]
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
                fused = cast_votes([*others, one_hot(train)], coverage, weights).sum(axis=0)[0, 0]
                assert fused[train] < min(1.5 / clients, 0.5)
                assert fused.argmax() == person


def test_a_class_that_one_client_alone_knows_is_seen_where_the_others_are_unsure():
    unsure = one_hot(2, 100) + one_hot(14, 100) + one_hot(15, 55)
    fused = cast_votes([unsure, unsure, one_hot(16)], [ALL - {16}, ALL - {16}, ALL]).sum(axis=0)[
        0, 0
    ]
    assert fused.argmax() == 16


@pytest.fixture
def pixel():
    """Road 0.6, pole 0.3, sky 0.1; road is 64 times as common as pole, and sky as road."""
    votes, prior = np.zeros((1, 1, 1, 19), np.float32), np.zeros(19)
    votes[0, 0, 0, [0, 5, 10]] = 0.6, 0.3, 0.1
    prior[[0, 5, 10]] = 0.64, 0.01, 0.64
    return votes, prior


def test_balanced_targets_undo_the_prior(pixel):
    # Half the correction divides by sqrt(0.64) = 0.8 and sqrt(0.01) = 0.1: 0.75, 3 and 0.125.
    target = balance_votes(*pixel, strength=0.5, temperature=1.0)[0, 0]
    expected = np.array([0.75, 3, 0.125]) / 3.875
    assert target[[0, 5, 10]] / 255 == pytest.approx(expected, abs=1 / 500)
    assert target.sum() == pytest.approx(255, abs=2)


def test_a_low_temperature_sharpens(pixel):
    target = balance_votes(*pixel, strength=0.0, temperature=0.5)[0, 0]
    expected = np.array([0.36, 0.09, 0.01]) / 0.46
    assert target[[0, 5, 10]] / 255 == pytest.approx(expected, abs=1 / 500)


def test_neither_changes_nothing(pixel):
    target = balance_votes(*pixel, strength=0.0, temperature=1.0)
    assert target.argmax() == 0
    assert target[0, 0, [0, 5, 10]] / 255 == pytest.approx([0.6, 0.3, 0.1], abs=1 / 500)


def test_classes_nobody_predicts_stay_at_nought(pixel):
    target = balance_votes(*pixel, strength=1.0, temperature=0.5)[0, 0]
    assert target[[c for c in range(19) if c not in (0, 5, 10)]].max() == 0


@pytest.mark.parametrize("clients", [3, 4, 5, 10])
def test_what_one_client_alone_says_is_never_raised(clients):
    """Random votes and priors: a class that one client votes for stays below the mean's class."""
    rng = np.random.default_rng(clients)
    votes = rng.dirichlet(np.full(18, 0.1), (clients, 64, 64)).astype(np.float32)
    lone = rng.uniform(0, 0.9, (64, 64, 1)).astype(np.float32)
    votes = np.concatenate([votes, np.zeros_like(votes[..., :1])], axis=-1)  # class 18: nobody
    votes[0] = votes[0] * (1 - lone)
    votes[0, ..., 18:] = lone
    votes /= clients
    prior = rng.choice([1e-6, 1e-3, 0.1, 0.9], 19)
    fused, target = votes.sum(axis=0), balance_votes(votes, prior, 0.7, 0.5).astype(int)
    first = fused.argmax(axis=-1)
    assert (first != 18).mean() > 0.3
    chosen = np.take_along_axis(target, first[..., np.newaxis], axis=-1)[..., 0]
    assert (target[..., 18] <= chosen)[first != 18].all()


def test_a_vote_is_raised_as_far_as_another_one_goes(pixel):
    """Three clients say road 0.6 and pole 0.3 in the mean; how they share the pole is what counts.

    Half the correction: road by 1 / 0.8 to 0.75, pole by 1 / 0.1, sky by 1 / 0.8 to 0.125. If all
    say pole 0.3, all of it is raised: 3. If one says 0.9, nothing: 0.3 / 0.8 = 0.375. If they say
    0.5, 0.4 and 0, all but 0.1 / 3 is raised: 0.8 / 3 / 0.1 + 0.1 / 3 / 0.8 = 2.708.
    """
    [[[fused]]], prior = pixel
    for poles, expected in (
        ((0.3, 0.3, 0.3), 3),
        ((0.9, 0.0, 0.0), 0.375),
        ((0.5, 0.4, 0.0), 2.7083),
    ):
        votes = np.stack([fused / 3] * 3)[:, None, None]
        votes[:, 0, 0, POLE] = np.array(poles) / 3
        target = balance_votes(votes, prior, strength=0.5, temperature=1.0)[0, 0] / 255
        total = 0.75 + expected + 0.125
        assert target[[ROAD, POLE, SKY]] == pytest.approx(
            np.array([0.75, expected, 0.125]) / total, abs=1 / 400
        )


def test_a_prior_is_the_median_of_those_who_know_the_class():
    priors = np.zeros((4, 19))
    priors[:, 0] = 0.1, 0.4, 0.2, 0.9
    priors[:, 1] = 0.3, 0.1, 0.0, 0.9
    coverage = [{0, 1}, {0, 1}, {0}, set()]
    assert typical_prior(priors, coverage)[:3] == pytest.approx([0.2, 0.1, 0])


@pytest.mark.parametrize("honest", [2, 3, 4, 9])
def test_one_client_cannot_move_a_prior_beyond_what_others_say(honest):
    rng = np.random.default_rng(honest)
    said = rng.dirichlet(np.ones(19), honest)
    for lie in (np.zeros(19), np.ones(19), rng.dirichlet(np.ones(19))):
        for known in (ALL, {PERSON}, set()):
            prior = typical_prior(np.vstack([said, lie]), [ALL] * honest + [known])
            assert (prior >= said.min(axis=0)).all()
            assert (prior <= said.max(axis=0)).all()


class Scenes:
    """Streets of sky, building, poles, road, and about 1 % persons; and a client that is sure."""

    def __init__(self, count=3, side=60):
        rng = np.random.default_rng(0)
        self.labels = []
        for _ in range(count):
            label = np.full((side, side), ROAD, np.uint8)
            label[:15], label[15:33], label[12:36, 30] = SKY, BUILDING, POLE
            row, column = rng.integers(36, side - 10), rng.integers(0, side - 4)
            label[row : row + 10, column : column + 4] = PERSON
            self.labels.append(label)

    def client(self, coverage, say=lambda label: label, sure=1.0):
        """A teacher that gives what it says a probability, and all other classes the rest alike."""
        rest = np.full((19, 19), (1 - sure) / 18) + np.eye(19) * (sure - (1 - sure) / 18)
        chances = np.rint(255 * rest).astype(np.uint8)
        maps = [chances[say(label)] for label in self.labels]
        return SimpleNamespace(coverage=coverage, probabilities=maps.__getitem__)

    def persons_kept(self, teachers, folder):
        """Share of the true persons that the real targets call persons, with default settings."""
        write_targets(
            FusionTask(
                folder=folder,
                working=folder,
                settings=Distillation(),
                teachers=teachers,
                images=self.labels,
                student=SimpleNamespace(classes=CITYSCAPES),
                seed=0,
                progress=silent,
            )
        )
        kept = [
            (read_target(folder, index).argmax(axis=-1) == PERSON)[label == PERSON]
            for index, label in enumerate(self.labels)
        ]
        return np.concatenate(kept).mean()


@pytest.mark.parametrize("clients", [3, 4, 5])
@pytest.mark.parametrize("share", [0, 0.15, 0.3, 1])
@pytest.mark.parametrize("instead", [TRAIN, POLE, ROAD])
def test_one_client_cannot_turn_a_class(clients, share, instead, tmp_path):
    """It calls buildings persons, which raises their prior, and persons something else."""
    scenes, rng = Scenes(), np.random.default_rng(1)

    def lie(label):
        said = label.copy()
        said[(label == BUILDING) & (rng.random(label.shape) < share)] = PERSON
        said[label == PERSON] = instead
        return said

    claims = [(ALL, ALL), (ALL, ALL - {instead}), ({instead}, ALL), (ALL - {PERSON}, ALL)]
    for number, (known, honest) in enumerate(claims):
        for sure in (1.0, 0.8):
            teachers = {str(k): scenes.client(honest, sure=sure) for k in range(clients - 1)}
            teachers["liar"] = scenes.client(known, lie)
            folder = tmp_path / f"{number}-{sure}"
            folder.mkdir()
            assert scenes.persons_kept(teachers, folder) == 1
