import numpy as np
import pytest
import torch
from torch import nn

from fedseg.config import Model, Training
from fedseg.files import read_json
from fedseg.models.build import IMAGENET, build
from fedseg.training import loop
from fedseg.training.callbacks import ReportProgress, WriteCurve
from fedseg.training.loop import TrainingRun, fit, normalise
from fedseg.training.losses import cross_entropy
from fedseg.training.state import Pace
from tests.conftest import TINY_MODEL, paint

CPU = torch.device("cpu")
SETTINGS = Training(iterations=6, batch_size=2, crop=(32, 64), learning_rate=1e-3)


def example(rng):
    return paint(rng, [0, 8, 13], (32, 64))


def train(settings=SETTINGS, make=lambda: build(Model(**TINY_MODEL)), **options):
    torch.manual_seed(0)
    run = TrainingRun(settings=settings, seed=5, device=CPU, **options)
    return fit(make(), example, cross_entropy, IMAGENET, run).state_dict()


class Killed(Exception):
    pass


def equal(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_is_repeatable_whatever_the_number_of_threads():
    assert equal(train(), train(SETTINGS.model_copy(update={"threads": 4})))


def test_a_killed_training_resumes_to_the_same_weights(tmp_path):
    steps = []

    def kill(stage, done, total, loss):
        steps.append(done)
        if done == 4:
            raise Killed

    state = tmp_path / "state.safetensors"
    with pytest.raises(Killed):
        train(state=state, save_seconds=0, callbacks=(ReportProgress(kill),))
    resumed = train(
        state=state,
        callbacks=(
            ReportProgress(lambda stage, done, total, loss: steps.append(done)),
            WriteCurve(tmp_path / "resumed.json"),
        ),
    )
    assert steps == [1, 2, 3, 4, 4, 5, 6]  # step 4 was done, but not saved
    assert equal(resumed, train(callbacks=(WriteCurve(tmp_path / "whole.json"),)))
    assert (tmp_path / "resumed.json").read_text() == (tmp_path / "whole.json").read_text()


def test_a_curve_grows_with_the_training(tmp_path):
    found = []

    def note(stage, done, total, loss):
        found.append(len(read_json(tmp_path / "curve.json")["loss"]))

    curve = WriteCurve(tmp_path / "curve.json", seconds=0)
    state = tmp_path / "state.safetensors"

    def kill(stage, done, total, loss):
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        train(state=state, save_seconds=0, callbacks=(ReportProgress(kill),))
    train(state=state, callbacks=(curve, ReportProgress(note)))
    assert found == [4, 5, 6]


def test_training_learns():
    losses = []
    train(
        SETTINGS.model_copy(update={"iterations": 60}),
        callbacks=(ReportProgress(lambda stage, done, total, loss: losses.append(loss)),),
    )
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_a_loss_that_is_not_finite_stops_training():
    def spoiled(logits, labels):
        return cross_entropy(logits, labels) * float("nan")

    run = TrainingRun(settings=SETTINGS, seed=0, device=CPU)
    with pytest.raises(FloatingPointError, match="learning rate"):
        fit(build(Model(**TINY_MODEL)), example, spoiled, IMAGENET, run)


def test_normalise_against_torchvision():
    from torchvision.transforms.functional import normalize

    images = torch.randint(0, 256, (2, 4, 6, 3), dtype=torch.uint8)
    theirs = normalize(images.permute(0, 3, 1, 2) / 255, *map(list, IMAGENET))
    assert torch.allclose(normalise(images, IMAGENET), theirs, atol=1e-5)


def test_cross_entropy_ignores_255_and_survives_a_batch_of_nothing_else():
    logits = torch.randn(2, 19, 4, 4, requires_grad=True)
    labels = torch.randint(0, 19, (2, 4, 4), dtype=torch.uint8)
    labels[:, 0] = 255
    expected = nn.CrossEntropyLoss(ignore_index=255)(logits, labels.long())
    assert cross_entropy(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)
    assert cross_entropy(logits, torch.full_like(labels, 255)).item() == 0


def test_saving_takes_a_twentieth_of_the_time_at_most(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pace = Pace(30)
    now[0] = 31
    assert pace.is_due()
    with pace:
        now[0] = 35  # 4 s
    now[0] = 35 + 79
    assert not pace.is_due()
    now[0] = 35 + 81
    assert pace.is_due()


def test_losses_that_are_read_together_are_those_of_each_step(tmp_path, monkeypatch):
    """As on a GPU; a state is never saved without them."""
    alone, together, saved = [], [], []
    train(callbacks=(ReportProgress(lambda *seen, **loss: alone.append((seen, loss))),))
    monkeypatch.setattr(loop, "losses_at_once", lambda device: 4)
    train(callbacks=(ReportProgress(lambda *seen, **loss: together.append((seen, loss))),))
    assert together == alone
    assert [seen[:2] for seen, _ in together] == [("training", step) for step in range(1, 7)]

    monkeypatch.setattr(loop, "save_state", lambda *state: saved.append(len(state[-1])))
    train(state=tmp_path / "state", save_seconds=0)
    assert saved == [1, 2, 3, 4, 5, 6]


def small():
    """One that a CPU computes in half precision within a second."""
    return nn.Sequential(nn.Conv2d(3, 16, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 19, 1))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_training_in_half_precision_learns_and_resumes(tmp_path, precision):
    few = {"iterations": 12, "learning_rate": 5e-2}
    settings = SETTINGS.model_copy(update={"precision": precision, **few})
    losses = []

    def note(stage, done, total, loss):
        losses.append(loss)
        if done == 8 and len(losses) == 8:
            raise Killed

    state = tmp_path / "state.safetensors"
    with pytest.raises(Killed):
        train(settings, small, state=state, save_seconds=0, callbacks=(ReportProgress(note),))
    train(settings, small, state=state, callbacks=(ReportProgress(note),))
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])
