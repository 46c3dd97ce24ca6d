import os
import signal

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fedseg.config import Training
from fedseg.errors import FedsegError
from fedseg.files import read_json
from fedseg.models.build import IMAGENET
from fedseg.training.callbacks import Callback, WriteCurve
from fedseg.training.loop import TrainingRun, fit
from fedseg.training.losses import count_labelled, cross_entropy
from fedseg.training.parallel import Rank
from tests.conftest import paint

CPU = torch.device("cpu")
SETTINGS = Training(iterations=4, batch_size=4, crop=(32, 64), learning_rate=1e-3)


class Small(nn.Module):
    """Normalisations that mix no images, one of them frozen, and a part that is never used."""

    def __init__(self):
        from timm.layers import BatchNormAct2d

        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), BatchNormAct2d(8))
        self.encoder[1].requires_grad_(False)
        self.decoder = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.GroupNorm(2, 8))
        self.unused = nn.Linear(3, 3)
        self.head = nn.Conv2d(8, 19, 1)

    def forward(self, images):
        return F.interpolate(self.head(self.decoder(self.encoder(images))), scale_factor=2)


def example(rng):
    """Images with very different amounts of labelled pixels."""
    image, label = paint(rng, [0, 8, 13], (32, 64))
    label[: int(rng.integers(0, 31))] = 255
    return image, label


def damaged(rng):
    if rng.random() < 0.5:
        raise FedsegError("seven.png: can't be decoded")
    return example(rng)


def dies(rng):
    os.kill(os.getpid(), signal.SIGKILL)


def explodes(logits, labels):
    return cross_entropy(logits, labels) * float("nan")


def train(processes, make=example, loss=cross_entropy, settings=SETTINGS, **options):
    torch.manual_seed(0)
    run = TrainingRun(settings=settings, seed=5, device=CPU, processes=processes, **options)
    return fit(Small(), make, loss, IMAGENET, run, count_labelled).state_dict()


def farthest(one, two):
    return max((one[name].double() - two[name].double()).abs().max().item() for name in one)


class Interrupted(Exception):
    pass


class Interrupt(Callback):
    def __init__(self, at):
        self.at = at

    def on_step(self, step, total, loss):
        if step == self.at:
            raise Interrupted


def test_two_processes_train_as_one_does(tmp_path):
    """Also where one process goes on with what two began."""
    alone = train(0, callbacks=(WriteCurve(tmp_path / "alone.json"),))
    both = train(2, callbacks=(WriteCurve(tmp_path / "both.json"),))
    untrained = Small().state_dict()
    assert farthest(alone, both) < 2e-5
    assert farthest(alone, untrained) > 1e-2
    losses = [read_json(tmp_path / name)["loss"] for name in ("alone.json", "both.json")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)

    state = tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        train(2, state=state, save_seconds=0, callbacks=(Interrupt(3),))
    resumed = train(0, state=state, callbacks=(WriteCurve(tmp_path / "resumed.json"),))
    assert farthest(alone, resumed) < 2e-5
    assert read_json(tmp_path / "resumed.json")["loss"] == pytest.approx(losses[0], rel=1e-5)


def test_one_process_of_its_own_trains_to_the_same_bits(tmp_path, caplog):
    """And says what it notices, as of a state that is damaged."""
    state = tmp_path / "state.safetensors"
    state.write_bytes(b"nothing")
    alone, apart = train(0), train(1, state=state)
    assert all(torch.equal(alone[name], apart[name]) for name in alone)
    assert f"{state}: damaged" in caplog.text


@pytest.mark.parametrize(
    ("make", "loss", "error", "words"),
    [
        (damaged, cross_entropy, FedsegError, "seven.png"),
        pytest.param(
            example, explodes, FloatingPointError, "learning rate", marks=pytest.mark.slow
        ),
        (dies, cross_entropy, FedsegError, "SIGKILL"),
    ],
)
def test_what_fails_in_another_process_is_raised_here(make, loss, error, words):
    with pytest.raises(error, match=words):
        train(1, make, loss)


def test_every_process_has_its_part_of_a_batch():
    parts = [list(Rank(index, 3).shard(range(8))) for index in range(3)]
    assert parts == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_batch_norms_of_torch_and_timm_are_synchronised_on_gpus():
    """Their weights keep their names, and one process or a CPU leaves them as they are."""
    cuda = torch.device("cuda")
    for rank, device in ((Rank(), cuda), (Rank(1, 2), CPU)):
        network = rank.sync_norms(Small(), device)
        assert not [m for m in network.modules() if isinstance(m, nn.SyncBatchNorm)]
    network = nn.Sequential(Small(), nn.BatchNorm2d(19))
    names = list(network.state_dict())
    synchronised = Rank(1, 2).sync_norms(network, cuda)
    assert len([m for m in synchronised.modules() if isinstance(m, nn.SyncBatchNorm)]) == 2
    assert list(synchronised.state_dict()) == names


def test_as_many_processes_as_gpus_that_have_an_image(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    run = TrainingRun(settings=SETTINGS, seed=0, device=torch.device("cuda"))
    assert run.workers() == SETTINGS.batch_size
    assert TrainingRun(settings=SETTINGS, seed=0, device=CPU).workers() == 0
