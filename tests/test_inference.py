import numpy as np
import torch

from fedseg import checkpoints, inference
from fedseg.config import Model, Training
from fedseg.inference import infer, input_size
from fedseg.models import build
from tests.conftest import TINY_MODEL

INFO = checkpoints.describe(Model(**TINY_MODEL), Training(crop=(32, 64)))


def test_input_size_keeps_proportions_in_multiples_of_32():
    info = INFO.model_copy(update={"inference_height": 256})
    assert input_size(360, 480, info) == (256, 352)  # 341.3 is nearest to 11 x 32
    assert input_size(1024, 2048, info) == (256, 512)
    assert input_size(10, 10000, INFO)[0] == 32


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
