import pytest
import torch

from fedseg.config import Training
from fedseg.models.build import IMAGENET
from fedseg.training.best import Best
from fedseg.training.callbacks import ReportProgress
from fedseg.training.loop import TrainingRun, fit
from fedseg.training.losses import count_labelled, cross_entropy
from tests.training.test_parallel import CPU, Interrupt, Interrupted, Small, example, farthest

SETTINGS = Training(iterations=20, batch_size=2, crop=(32, 64), learning_rate=1e-2)


class Judge:
    """Scores by a list, and notes what it saw."""

    def __init__(self, *scores):
        self.scores, self.seen = list(scores), []

    def __call__(self, network, on_progress):
        assert not network.training
        on_progress(1, 2)
        self.seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return self.scores[len(self.seen) - 1]


def train(judge, settings=SETTINGS, network=None, **options):
    torch.manual_seed(0)
    run = TrainingRun(settings=settings, seed=5, device=CPU, **{"processes": 0} | options)
    network = Small() if network is None else network
    return fit(network, example, cross_entropy, IMAGENET, run, count_labelled, judge).state_dict()


def test_the_best_of_ten_is_kept_and_of_equals_the_last():
    judge = Judge(0.1, 0.7, 0.2, 0.7, 0.6, 0, 0, 0, 0, 0.5)
    kept = train(judge)
    assert len(judge.seen) == 10
    assert farthest(kept, judge.seen[3]) == 0
    assert farthest(judge.seen[1], judge.seen[3]) > 0
    # Looking changes nothing of the training itself.
    assert farthest(judge.seen[-1], train(None)) == 0


def test_a_killed_training_remembers_its_best(tmp_path):
    state = tmp_path / "state.safetensors"
    first, second = Judge(0.1, 0.9, 0.2, 0.3, 0.4, 0.5), Judge(0.5, 0.6, 0.2, 0.1)
    with pytest.raises(Interrupted):
        train(first, state=state, save_seconds=0, callbacks=(Interrupt(13),))
    assert farthest(train(second, state=state), first.seen[1]) == 0
    assert len(second.seen) == 4


def test_validation_is_progress():
    """Or a client that looks at many images would count as stuck."""
    seen = []
    train(Judge(*range(10)), callbacks=(ReportProgress(lambda *step, **_: seen.append(step)),))
    # While the model is scored, its latest step is reported again.
    assert len(seen) == 20 + 10


def test_what_is_frozen_stays_frozen_after_a_look():
    network = Small()
    network.encoder.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.encoder.state_dict().items()}
    train(Judge(*range(10)), network=network)
    assert farthest(network.encoder.state_dict(), before) == 0


def higher_is_better(network, on_progress):
    """Picklable: the largest of the bias of the head, which training moves."""
    return network.head.bias.max().item()


def test_two_processes_keep_what_one_keeps():
    few = SETTINGS.model_copy(update={"iterations": 4, "batch_size": 4})
    one, two = (train(higher_is_better, few, processes=processes) for processes in (0, 2))
    assert farthest(one, two) < 1e-4


def test_when_it_looks():
    best = Best(lambda *_: 0.0, 25)
    assert [step for step in range(1, 26) if best.is_due(step)] == [3, 6, 9, 12, 15, 18, 21, 24, 25]
    assert not Best(None, 25).is_due(25)
