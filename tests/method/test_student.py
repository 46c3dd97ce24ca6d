from functools import partial

import pytest
import torch
from torch.nn import functional as F

from fedseg.method.student import class_loss, feature_loss, soft_cross_entropy


def test_loss_equals_kl_divergence_up_to_the_entropy_of_the_target():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 8, 8, generator=rng)
    probabilities = torch.rand(2, 8, 8, 5, generator=rng).softmax(dim=-1)
    target = (probabilities * 255).round().to(torch.uint8)
    soft = (target / target.sum(dim=-1, keepdim=True)).permute(0, 3, 1, 2)
    divergence = F.kl_div(F.log_softmax(logits, dim=1), soft, reduction="none").sum(dim=1).mean()
    entropy = torch.special.entr(soft).sum(dim=1).mean()
    expected = (divergence + entropy).item()
    assert class_loss(soft_cross_entropy, logits, target).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_feature_loss_is_the_loss_of_the_classes_and_the_squared_distance_of_the_features():
    rng = torch.Generator().manual_seed(0)
    output = torch.randn(1, 19 + 3, 4, 4, generator=rng)
    target = torch.randint(0, 256, (1, 4, 4, 19 + 3), generator=rng, dtype=torch.uint8)
    given = output[:, 19:].tanh().permute(0, 2, 3, 1)
    wanted = target[..., 19:] / 127.5 - 1
    loss = partial(class_loss, soft_cross_entropy)
    expected = loss(output[:, :19], target[..., :19]) + ((given - wanted) ** 2).mean()
    assert feature_loss(loss, 19, output, target).item() == pytest.approx(expected.item(), rel=1e-5)
