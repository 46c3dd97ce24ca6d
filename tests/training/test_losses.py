import numpy as np
import pytest
import torch

from fedseg.config import Federation
from fedseg.training.losses import (
    LOSSES,
    class_weights,
    cross_entropy,
    hard_pixels,
    loss_of,
    with_dice,
    with_lovasz,
)


@pytest.fixture
def batch():
    """Logits and labels of every class but the last, a fifth of them ignored."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 8, 10, generator=generator)
    labels = torch.randint(0, 4, (2, 8, 10), generator=generator, dtype=torch.uint8)
    labels[:, :, :2] = 255
    return logits, labels


def test_hard_pixels_by_hand():
    """Three are below 0.7; if none is, the hardest sixteenth counts."""
    right = torch.tensor([[0.6, 0.5, 0.9, 0.2], [0.8, 0.95, 0.99, 0.3]])
    logits = torch.stack([right, 1 - right])[None].log()
    labels = torch.zeros(1, 2, 4, dtype=torch.uint8)
    labels[0, 1, 3] = 255
    wanted = -np.log([0.6, 0.5, 0.2]).mean()
    assert hard_pixels(logits, labels).item() == pytest.approx(wanted, rel=1e-5)
    easy = torch.linspace(0.8, 0.99, 32).reshape(1, 4, 8)
    logits = torch.stack([easy, 1 - easy], dim=1).log()
    wanted = -np.log(easy.flatten()[:2].numpy()).mean()
    found = hard_pixels(logits, torch.zeros(1, 4, 8, dtype=torch.uint8))
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_class_weights_by_hand():
    """Of 100 labelled pixels; a class without any has the highest weight."""
    raw = 1 / np.log([1.02 + 0.9, 1.02 + 0.1, 1.02])
    found = class_weights(np.array([90, 10, 0]))
    assert found.numpy() == pytest.approx(raw / (0.9 * raw[0] + 0.1 * raw[1]), rel=1e-5)
    assert class_weights(np.array([0, 0])).isfinite().all()


def test_weighted_cross_entropy_is_torch_s_up_to_the_mean_weight(batch):
    logits, labels = batch
    pixels = np.bincount(labels.flatten(), minlength=256)[:5]
    mean = torch.nn.functional.cross_entropy(
        logits, labels.long(), class_weights(pixels), ignore_index=255
    )
    assert loss_of("weighted", pixels)(logits, labels).item() == pytest.approx(mean.item())


def test_dice_by_its_formula(batch):
    logits, labels = batch
    p = logits.softmax(1).numpy()
    parts = []
    for c in range(5):
        inside = (labels != 255).numpy()
        true, share = (labels == c).numpy() & inside, p[:, c] * inside
        part = 1 - 2 * (share * true).sum() / (share.sum() + true.sum())
        parts.append(part if true.any() else 0)
    wanted = cross_entropy(logits, labels).item() + np.mean(parts)
    assert with_dice(logits, labels).item() == pytest.approx(wanted, rel=1e-4)


def test_lovasz_of_certain_predictions_is_one_minus_iou(batch):
    logits, labels = batch
    certain = torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 40.0)
    predicted, inside = logits.argmax(1), labels != 255
    ious = []
    for c in range(4):
        both = ((predicted == c) & (labels == c)).sum()
        either = ((predicted == c) & inside | (labels == c)).sum()
        ious.append((both / either).item())
    wanted = cross_entropy(certain, labels).item() + 1 - np.mean(ious)
    assert with_lovasz(certain, labels).item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("name", [*LOSSES, "weighted"])
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
    federation_data["training"]["loss"] = "lovasz"
    federation = Federation.model_validate(federation_data)
    assert {client.training.loss for client in federation.clients} == {"lovasz"}
    assert federation.server.distillation.loss == "cross_entropy"
    federation_data["server"]["distillation"] = {"loss": "dice"}
    with pytest.raises(ValueError, match="that of the distillation is the cross-entropy"):
        Federation.model_validate(federation_data)
