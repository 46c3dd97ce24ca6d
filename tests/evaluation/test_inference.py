import numpy as np
import pytest
import torch

from fedseg.config import Model, Protocol, Training
from fedseg.errors import FedsegError
from fedseg.evaluation import inference
from fedseg.evaluation.inference import infer, input_size, view_size
from fedseg.models import checkpoints
from fedseg.models.build import build
from tests.conftest import TINY_MODEL

INFO = checkpoints.describe(Model(**TINY_MODEL), Training(crop=(32, 64)))


def test_input_size_keeps_proportions_in_multiples_of_the_stride():
    assert input_size(360, 480, INFO, 256) == (256, 352)  # 341.3 is nearest to 11 x 32
    assert input_size(1024, 2048, INFO, 256) == (256, 512)
    assert input_size(10, 10000, INFO, 20)[0] == 32
    finer = INFO.model_copy(update={"stride": 8, "inference_height": 256})
    assert input_size(360, 480, finer) == (256, 344)  # and to 43 x 8
    assert input_size(1052, 1914, finer, 1052) == (1056, 1920)


def test_a_protocol_says_at_which_size_a_model_sees_an_image():
    info = INFO.model_copy(update={"inference_height": 128})
    assert view_size(256, 512, info) == (128, 256)
    assert view_size(256, 512, info, Protocol(height="original")) == (256, 512)
    assert view_size(256, 512, info, Protocol(height=64)) == (64, 128)


def test_several_devices_give_what_one_gives():
    """To the bit, in order; each has a copy of its own, as an encoder may keep a size in itself."""
    network = build(Model(**TINY_MODEL)).eval()
    rng = np.random.default_rng(0)
    sizes = [(48, 80), (48, 80), (32, 64), (96, 48), (48, 80), (64, 64), (48, 80)] * 3
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    used = set()
    network.register_forward_hook(lambda module, *_: used.add(id(module)))
    numbers = range(len(images))
    alone = list(infer(network, INFO, images.__getitem__, numbers))
    assert len(used) == 1
    cpus = [torch.device("cpu")] * 3
    several = list(infer(network, INFO, images.__getitem__, numbers, devices=cpus))
    assert len(used) == 3
    assert [number for number, _, _ in several] == list(numbers)
    for (_, _, one), (number, image, other) in zip(alone, several, strict=True):
        assert image is images[number]
        assert torch.equal(one, other)


def test_batches_of_mixed_sizes_give_what_single_images_give(monkeypatch):
    torch.manual_seed(0)
    network = build(Model(**TINY_MODEL)).eval()
    rng = np.random.default_rng(0)
    shapes = [(48, 80), (48, 80), (48, 80), (40, 40), (48, 80)]
    images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]

    def run():
        return list(infer(network, INFO, images.__getitem__, range(len(images))))

    together = run()
    monkeypatch.setattr(inference, "BATCH_PIXELS", 1)
    alone = run()
    assert [index for index, _, _ in together] == list(range(5))
    for (_, image, one), (_, _, other), original in zip(together, alone, images, strict=True):
        assert np.array_equal(image, original)
        assert torch.allclose(one, other, atol=1e-4)


class Pointwise(torch.nn.Module):
    """Looks at one pixel at a time: windows must not change what it says."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 19, 1)

    def forward(self, images):
        return self.layer(images)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)


def logits_of(network, image, **protocol):
    torch.manual_seed(0)
    protocol = Protocol(height="original", **protocol)
    [(_, _, logits)] = infer(network.eval(), INFO, lambda item: item, [image], protocol)
    return logits


@pytest.mark.parametrize("window", [(32, 32), (64, 96), (96, 160), (512, 512)])
def test_windows_cover_every_pixel_and_are_averaged(image, window):
    network = Pointwise()
    whole = logits_of(network, image)
    assert whole.shape == (19, 96, 160)
    assert torch.allclose(logits_of(network, image, window=window), whole, atol=1e-5)


def test_items_may_be_a_stream(image):
    taken = []

    def stream():
        for index in range(40):
            taken.append(index)
            yield image

    outputs = infer(
        Pointwise().eval(), INFO, lambda item: item, stream(), Protocol(height="original")
    )
    next(outputs)
    assert len(taken) < 40  # not all in memory at once
    assert sum(1 for _ in outputs) == 39


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_an_output_that_is_not_finite_is_refused(value):
    """Of NaN the most probable class is 0: a score of road, and no word of it."""

    class Broken(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            output = torch.zeros(len(images), 19, *images.shape[2:])
            output[-1, 3, 5, 7] = value
            return output

    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(FedsegError, match="output holds NaN or infinity"):
        list(infer(Broken(), INFO, lambda item: image, range(2)))
