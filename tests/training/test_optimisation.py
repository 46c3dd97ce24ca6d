import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from fedseg.config import Model, Training
from fedseg.method.features import Featured
from fedseg.models.build import IMAGENET, build
from fedseg.training.callbacks import Callback
from fedseg.training.loop import TrainingRun, fit
from fedseg.training.optimisation import (
    arithmetic,
    autocast,
    learning_rate_factor,
    parameter_groups,
)
from tests.conftest import TINY_MODEL, paint

CPU = torch.device("cpu")


def test_learning_rate_rises_linearly_and_falls_as_half_a_cosine():
    settings = Training(iterations=110, warmup=10 / 110)
    rates = [learning_rate_factor(step, settings) for step in range(110)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[-1] < 0.001
    assert np.argmax(rates) == 10


def test_a_poly_schedule_is_deeplabs():
    settings = Training(iterations=100, warmup=0, schedule="poly")
    for step in (0, 10, 50, 99):
        assert learning_rate_factor(step, settings) == pytest.approx((1 - step / 100) ** 0.9)


def test_parameters_are_grouped_by_encoder_and_dimensions():
    network = build(Model(**TINY_MODEL))
    assert len(parameter_groups(network, Training())) == 1
    settings = Training(
        learning_rate=0.01, encoder_learning_rate=0.1, decay_vectors=False, weight_decay=0.02
    )
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in parameter_groups(network, settings)
        for parameter in group["params"]
    }
    assert len(found) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        rate, decay = found[id(parameter)]
        assert rate == pytest.approx(0.001 if name.startswith("encoder.") else 0.01)
        assert decay == (0 if parameter.ndim == 1 else 0.02)
    wrapped = Featured(network, nn.Conv2d(4, 2, 1))
    rates = {
        id(parameter): group["lr"]
        for group in parameter_groups(wrapped, settings)
        for parameter in group["params"]
    }
    assert all(rates[id(p)] == pytest.approx(0.001) for p in network.encoder.parameters())
    assert rates[id(wrapped.projection.weight)] == 0.01
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.GroupNorm)]
    assert all(found[id(norm.weight)][1] == 0 for norm in norms)


class Plain(nn.Module):
    """One layer, without anything that mixes the images of a batch."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 19, 3, padding=1)

    def forward(self, images):
        return self.layer(images)


def example(rng):
    return paint(rng, [0, 8, 13], (32, 64))


def mean_loss(logits, labels):
    return F.cross_entropy(logits, labels.long())


def train(network=None, callbacks=(), state=None, **settings):
    chosen = Training(**{"iterations": 4, "batch_size": 4, "crop": (32, 64)} | settings)
    options = {"state": state, "save_seconds": 0 if state else 30, "callbacks": callbacks}
    run = TrainingRun(settings=chosen, seed=3, device=CPU, **options)
    return fit(network or Plain(), example, mean_loss, IMAGENET, run).state_dict()


def test_parts_of_a_batch_add_up_to_the_batch():
    class Losses(Callback):
        def on_end(self, losses):
            self.losses = losses

    whole, parts = Losses(), Losses()
    one, two = train(callbacks=(whole,)), train(callbacks=(parts,), accumulation=2)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)


@pytest.mark.parametrize(("batch", "parts"), [(8, 3), (4, 4), (2, 2)])
def test_parts_of_one_image_or_of_unequal_sizes_are_refused(batch, parts):
    with pytest.raises(ValidationError, match="accumulation"):
        Training(batch_size=batch, accumulation=parts)


def test_the_gradient_is_clipped(tmp_path):
    def norm(**settings):
        """Of the first step's gradient: AdamW's first average is a tenth of it."""
        state = tmp_path / f"{len(settings)}.safetensors"
        train(state=state, iterations=1, **settings)
        saved = load_file(state)
        averages = [v for name, v in saved.items() if name.endswith("exp_avg")]
        return 10 * float(torch.cat([v.flatten() for v in averages]).norm())

    assert norm() > 0.5
    assert norm(max_grad_norm=0.1) == pytest.approx(0.1, rel=1e-3)


def test_the_moving_average_by_hand():
    network = build(Model(**TINY_MODEL))
    decays = [0.1, 0.15, 0.15, 0.15]  # min(0.15, (1 + step) / (10 + step))
    steps = []

    class Follow(Callback):
        def on_step(self, step, total, loss):
            steps.append({name: v.clone() for name, v in network.state_dict().items()})

    before = {name: v.clone() for name, v in network.state_dict().items()}
    result = train(network, callbacks=(Follow(),), ema=0.15)
    expected = before
    for decay, after in zip(decays, steps, strict=True):
        expected = {
            name: decay * expected[name] + (1 - decay) * value
            if value.is_floating_point()
            else value
            for name, value in after.items()
        }
    for name, value in result.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
    assert any((result[name] != steps[-1][name]).any() for name in result)


def test_auto_is_what_the_device_has(monkeypatch):
    cuda = torch.device("cuda")
    assert arithmetic(CPU, "auto") == torch.float32
    assert not autocast(CPU, "auto")._enabled
    for has, expected in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda has=has, **_: has)
        assert arithmetic(cuda, "auto") == expected
    assert arithmetic(cuda, "float32") == torch.float32
