import numpy as np
import pytest
import torch

from fedseg.config import Federation
from fedseg.registry import LOSSES
from fedseg.training.losses import class_weights, loss_of


@pytest.fixture
def batch():
    """Logits and labels of every class but the last, a fifth of them ignored."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 8, 10, generator=generator)
    labels = torch.randint(0, 4, (2, 8, 10), generator=generator, dtype=torch.uint8)
    labels[:, :, :2] = 255
    return logits, labels


def test_class_weights_by_hand():
    """Of 100 labelled pixels; a class without any has the highest weight."""
    raw = 1 / np.log([1.02 + 0.9, 1.02 + 0.1, 1.02])
    found = class_weights(np.array([90, 10, 0]))
    assert found.numpy() == pytest.approx(raw / (0.9 * raw[0] + 0.1 * raw[1]), rel=1e-5)
    assert class_weights(np.array([0, 0])).isfinite().all()


@pytest.mark.parametrize("name", list(LOSSES))
def test_each_goes_down_and_none_needs_a_label(name, batch):
    logits, labels = batch
    loss = loss_of(name, np.array([100, 10, 10, 10, 0]))
    logits = logits.clone().requires_grad_()
    before = loss(logits, labels)
    before.backward()
    assert loss(logits - logits.grad, labels) < before
    nothing = loss(logits, torch.full_like(labels, 255))
    assert nothing.shape == ()
    assert nothing.item() == 0
    nothing.backward()
    assert logits.grad.isfinite().all()


def test_the_distillation_has_a_loss_of_its_own(federation_data):
    federation_data["training"]["loss"] = "own:loss"
    federation = Federation.model_validate(federation_data)
    assert {client.training.loss for client in federation.clients} == {"own:loss"}
    assert federation.server.distillation.loss == "cross_entropy"
    assert federation.server.distillation.training.iterations == federation.training.iterations
    federation_data["server"]["distillation"] = {"training": {"loss": "own:loss"}}
    with pytest.raises(ValueError, match=r"server\.distillation\.training\.loss"):
        Federation.model_validate(federation_data)
