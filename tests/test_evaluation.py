import numpy as np
import torch
from PIL import Image

from fedseg import checkpoints
from fedseg.classes import CLASSES
from fedseg.config import Model, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.evaluation import evaluate, summarise
from fedseg.models import IMAGENET
from tests.conftest import TINY_MODEL

INFO = checkpoints.describe(Model(**TINY_MODEL), Training(crop=(32, 64)))


class Painter(torch.nn.Module):
    """A "model" that reads the class off the picture: the red channel is the trainId times 10."""

    def __init__(self):
        super().__init__()
        self.register_parameter("unused", torch.nn.Parameter(torch.zeros(1)))

    def forward(self, images):
        mean, std = IMAGENET.mean[0], IMAGENET.std[0]
        level = (images[:, 0] * std + mean) * 255 / 10
        centres = torch.arange(19, device=images.device)[:, None, None]
        return -((level[:, None] - centres) ** 2) * 10


def test_a_model_that_sees_the_truth_scores_one_even_at_odd_sizes(tmp_path):
    # 50x70 pixels is no multiple of anything: resized to the network's size and back.
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    label = np.full((50, 70), 2, np.uint8)
    label[25:] = 0
    label[:, :10] = 255
    image = np.repeat(label[..., None] * 10, 3, axis=2)
    image[:, :10] = 130  # the model calls this car; it must not count
    Image.fromarray(label).save(tmp_path / "labels" / "a.png")
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    info = INFO.model_copy(update={"mean": IMAGENET.mean, "std": IMAGENET.std})
    score = evaluate(Painter(), info, open_dataset(Source(dataset="folder", root=tmp_path)))
    assert np.sum(score["confusion"]) == 50 * 60
    assert score["iou"]["road"] > 0.9
    assert score["iou"]["building"] > 0.9
    assert score["iou"]["train"] is None
    assert score["images"] == 1


def test_a_coarse_dataset_is_scored_on_summed_probabilities(tmp_path):
    # The model says building 40 %, car 30 %, truck 30 %: CamVid's "car" (60 %) must win.
    class Undecided(Painter):
        def forward(self, images):
            chances = torch.full((19,), 1e-6)
            for name, chance in (("building", 0.4), ("car", 0.3), ("truck", 0.3)):
                chances[CLASSES.index(name)] = chance
            return chances.log()[None, :, None, None].expand(1, 19, *images.shape[2:])

    for folder, value in (("val", 0), ("valannot", 8)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((40, 60), value, np.uint8)).save(tmp_path / folder / "a.png")
    dataset = open_dataset(Source(dataset="camvid", root=tmp_path, split="val"))
    score = evaluate(Undecided(), INFO, dataset)
    assert score["iou"]["car"] == 1.0
    assert score["miou_classes"] == ["car"]


def test_mean_leaves_out_classes_found_nowhere_and_counts_false_ones_as_zero():
    confusion = np.array([[8, 2, 0], [0, 0, 0], [0, 0, 0]])
    score = summarise(confusion, ["a", "b", "c"])
    assert score["iou"] == {"a": 0.8, "b": 0.0, "c": None}
    assert score["miou"] == 0.4
    assert score["miou_classes"] == ["a", "b"]
