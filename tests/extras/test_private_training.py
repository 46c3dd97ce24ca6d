"""Training with differential privacy."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fedseg.config import Model, Privacy, Training
from fedseg.errors import PublicError
from fedseg.extras.private_training import (
    PoissonDraw,
    PrivateExamples,
    PrivateStepper,
    cross_entropy_by_image,
    mean_over_images,
    noise_for_budget,
)
from fedseg.files import app_dir
from fedseg.models import checkpoints
from fedseg.models.build import build, replace_batch_norms
from fedseg.participants.client import train_client
from fedseg.participants.uploads import store_upload
from fedseg.run.folder import open_run
from fedseg.run.progress import FileProgress, silent
from fedseg.run.uploads import read_upload
from fedseg.training.losses import cross_entropy

pytest.importorskip("opacus")
FOCAL = f"{app_dir()}/examples/plugins/focal.py:focal_loss"
LOOSE = Privacy(epsilon=100.0, delta=0.01)


@pytest.fixture
def private(federation):
    """A client that trains with differential privacy."""
    return federation.clients[0].model_copy(update={"privacy": LOOSE})


def test_the_upload_says_what_the_training_cost_and_is_accepted(private, federation, tmp_path):
    folder = train_client(private, 0, tmp_path / "home", FileProgress(tmp_path, "one"))
    upload = read_upload(folder)
    assert 0 < upload.epsilon <= 100
    assert upload.delta == 0.01
    assert upload.info.norm == "group"
    assert upload.info.coverage == (0, 2, 8, 10, 13)
    network, _ = checkpoints.load(folder)
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    kept = store_upload(open_run(tmp_path / "run", federation), upload, network.state_dict())
    assert checkpoints.load_info(kept).norm == "group"


def test_the_noise_does_not_follow_from_the_seed(private, tmp_path):
    """The server knows the seed: it could subtract what follows from it."""
    first, second = (
        checkpoints.load(train_client(private, 0, tmp_path / home, FileProgress(tmp_path, "one")))[
            0
        ]
        for home in "ab"
    )
    name = "segmentation_head.0.weight"
    assert not torch.equal(first.state_dict()[name], second.state_dict()[name])


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_the_cost_of_one_step_on_everything_is_that_of_the_gaussian_mechanism(sigma):
    """Its exact epsilon: Balle and Wang, arXiv 1805.06530, theorem 8."""

    def delta(epsilon):
        normal = torch.distributions.Normal(0.0, 1.0)
        a, b = 1 / (2 * sigma), epsilon * sigma
        low, high = normal.cdf(torch.tensor(a - b)), normal.cdf(torch.tensor(-a - b))
        return float(low - math.exp(epsilon) * high)

    exact = next(e for e in np.arange(0.01, 10, 0.01) if delta(e) <= 1e-5)
    noise, spent = noise_for_budget(Privacy(epsilon=1.3 * exact, delta=1e-5), rate=1.0, steps=1)
    assert noise < sigma * 1.05  # what the accountant adds for safety is below a third
    assert 0.9 * 1.3 * exact <= spent.epsilon <= 1.3 * exact


def test_more_steps_and_less_epsilon_need_more_noise():
    noises = [
        noise_for_budget(Privacy(epsilon=e), 0.01, steps)[0]
        for e, steps in ((8, 100), (8, 1000), (2, 1000))
    ]
    assert noises == sorted(noises)


def test_the_loss_of_an_image_is_the_mean_over_its_own_pixels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 19, 4, 5, generator=generator)
    labels = torch.randint(0, 19, (3, 4, 5), generator=generator).to(torch.uint8)
    labels[0, :2], labels[2] = 255, 255
    found = cross_entropy_by_image(logits, labels)
    alone = [cross_entropy(logits[i : i + 1], labels[i : i + 1]) for i in range(3)]
    assert torch.allclose(found, torch.stack(alone))
    assert found[2] == 0


@pytest.mark.parametrize(
    ("arch", "encoder"),
    [
        ("fpn", "tu-tf_efficientnet_lite0"),
        ("unet", "resnet18"),
        ("deeplabv3plus", "tu-mobilenetv3_small_050"),
        ("segformer", "mit_b0"),
    ],
)
def test_group_normalisation_does_not_mix_images(arch, encoder):
    network = build(Model(arch=arch, encoder=encoder, encoder_weights="none", norm="group"))
    assert not [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for module in network.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
        if hasattr(module, "drop_prob"):  # stochastic depth
            module.drop_prob = 0.0
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network.train()
    with torch.no_grad():
        together, alone = network(images), network(images[:1])
    assert torch.allclose(together[:1], alone, atol=1e-4)


def test_weights_of_the_normalisation_are_kept():
    network = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6))
    network[1].weight.data = torch.arange(6.0)
    replace_batch_norms(network)
    assert isinstance(network[1], nn.GroupNorm)
    assert network[1].weight.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_draw_without_images_costs_a_step_too():
    """Noise is added all the same, and the gradient is 0."""
    assert PoissonDraw(4, 1e-9)(0, 0, 2) == [None]
    image, label = PrivateExamples(None, (32, 64))(None)
    assert image.shape == (32, 64, 3)
    assert (label == 255).all()
    logits = torch.randn(1, 19, 32, 64, requires_grad=True)
    mean_over_images(logits, torch.from_numpy(label)[None]).backward()
    assert not logits.grad.any()


def test_each_image_is_drawn_independently_of_seed_and_step():
    draw = PoissonDraw(1000, 0.3)
    drawn = [{index for index, _ in draw(0, 0, 2)} for _ in range(2)]
    assert drawn[0] != drawn[1]
    assert all(abs(len(one) - 300) < 75 for one in drawn)  # five standard deviations
    assert [index for index, _ in PoissonDraw(5, 1.0)(0, 0, 2)] == [0, 1, 2, 3, 4]


def test_the_gradient_of_each_image_is_clipped():
    """Against torch's own gradients of one image after another; without noise."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 19, 1)
    images, labels = torch.randn(3, 3, 4, 5), torch.randint(0, 19, (3, 4, 5))
    wanted = [torch.zeros_like(parameter) for parameter in network.parameters()]
    for i in range(3):
        loss = mean_over_images(network(images[i : i + 1]), labels[i : i + 1])
        alone = torch.autograd.grad(loss, list(network.parameters()))
        norm = torch.cat([gradient.flatten() for gradient in alone]).norm()
        assert norm > 0.1
        wanted = [w + g * 0.1 / norm / 2 for w, g in zip(wanted, alone, strict=True)]
    stepper = PrivateStepper(0.0, 0.1, 2.0, network, Training(), torch.device("cpu"))
    averages = []
    stepper.optimiser.original_optimizer.register_step_post_hook(
        lambda adam, *_: averages.extend(adam.state[p]["exp_avg"] for p in network.parameters())
    )
    stepper.step(mean_over_images(stepper.network(images), labels), 0)
    for average, gradient in zip(averages, wanted, strict=True):
        torch.testing.assert_close(10 * average, gradient, rtol=1e-3, atol=1e-6)


def test_what_can_not_be_kept_is_said(private, tmp_path, monkeypatch):
    def refusal(**changes):
        with pytest.raises(PublicError) as caught:
            train_client(private.model_copy(update=changes), 0, tmp_path / "home", silent)
        return str(caught.value)

    loose = Privacy(epsilon=8.0, delta=0.5)
    assert "delta = 0.5 allows to publish one image of 4" in refusal(privacy=loose)
    with pytest.raises(PublicError, match="can't be kept in 100000 steps"):
        noise_for_budget(Privacy(epsilon=1e-9), 1.0, 100_000)
    assert "with the trainer 'own:train'" in refusal(trainer="own:train")
    settings = private.training.model_copy(update={"loss": FOCAL})
    assert "no loss but the cross-entropy" in refusal(training=settings)
    assert "needs [privacy]" in refusal(privacy=None, trainer="private")
    monkeypatch.setitem(__import__("sys").modules, "opacus", None)
    assert "pip install 'fedseg[privacy]'" in refusal()
