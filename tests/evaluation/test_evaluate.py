import numpy as np
import pytest
import torch
from PIL import Image

from fedseg.classes import CLASSES
from fedseg.config import Model, Protocol, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.errors import FedsegError
from fedseg.evaluation import evaluate as evaluation
from fedseg.evaluation.evaluate import evaluate, score_of
from fedseg.evaluation.inference import resize
from fedseg.models import checkpoints
from fedseg.models.build import IMAGENET
from fedseg.run.records import ProtocolRecord
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
    assert np.sum(score.confusion) == 50 * 60
    assert score.iou["road"] > 0.9
    assert score.iou["building"] > 0.9
    assert score.iou["train"] is None
    assert score.images == 1


def test_a_coarse_dataset_is_scored_on_summed_probabilities(tmp_path):
    # The model says building 40 %, car 30 %, truck 30 %: CamVid's "car" (60 %) must win.
    class Undecided(Painter):
        def forward(self, images):
            probabilities = torch.full((19,), 1e-6)
            for name, chance in (("building", 0.4), ("car", 0.3), ("truck", 0.3)):
                probabilities[CLASSES.index(name)] = chance
            return probabilities.log()[None, :, None, None].expand(1, 19, *images.shape[2:])

    for folder, value in (("val", 0), ("valannot", 8)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((40, 60), value, np.uint8)).save(tmp_path / folder / "a.png")
    dataset = open_dataset(Source(dataset="camvid", root=tmp_path, split="val"))
    score = evaluate(Undecided(), INFO, dataset)
    assert score.iou["car"] == 1.0
    assert score.miou_classes == ["car"]


def test_mean_leaves_out_classes_found_nowhere_and_counts_false_ones_as_zero():
    confusion = np.array([[8, 2, 0], [0, 0, 0], [0, 0, 0]])
    score = score_of(confusion, ["a", "b", "c"], "folder", "all", 1, ProtocolRecord())
    assert score.iou == {"a": 0.8, "b": 0.0, "c": None}
    assert score.miou == 0.4
    assert score.miou_classes == ["a", "b"]
    assert score.pixel_accuracy == 0.8
    assert score.frequency_weighted_iou == 0.8
    assert score.miou_16 is None  # these are not the 19


def test_the_16_classes_of_synthia_are_averaged_apart():
    confusion = np.zeros((19, 19), np.int64)
    confusion[0, 0] = 10  # road, all right
    confusion[9, 8] = 10  # terrain, all taken for vegetation
    score = score_of(confusion, list(CLASSES), "folder", "all", 1, ProtocolRecord())
    assert score.miou == pytest.approx(1 / 3)  # road 1, vegetation 0, terrain 0
    assert score.miou_16 == pytest.approx(1 / 2)
    assert score.miou_16_classes == ["road", "vegetation"]


def test_a_score_says_how_it_was_made(make_world):
    info = INFO.model_copy(update={"mean": IMAGENET.mean, "std": IMAGENET.std})
    dataset = open_dataset(Source(dataset="folder", root=make_world("world")))
    protocol = Protocol(height=64, window=(32, 64))
    made = evaluate(Painter(), info, dataset, protocol).protocol
    assert made.input_sizes == ((64, 96),)
    assert made.window == (32, 64)
    assert made.scored_at == "label resolution"


def test_a_label_of_another_size_than_its_image_is_an_error(make_world):
    root = make_world("world")
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(root / "labels" / "2.png")
    with pytest.raises(FedsegError, match=r"2\.png: is 10x10 pixels, but its image .* is 80x48"):
        evaluate(Painter(), INFO, open_dataset(Source(dataset="folder", root=root)))


@pytest.mark.parametrize("groups", [None, 4])
def test_a_large_image_is_classified_class_by_class_with_the_same_result(monkeypatch, groups):
    torch.manual_seed(0)
    logits = torch.randn(19, 24, 32) * 3
    logits[7, :12] = logits[3, :12]  # of equals the first
    membership = None
    if groups:
        membership = torch.zeros(groups, 19)
        membership[torch.arange(17) % groups, torch.arange(17)] = 1  # two classes in none
    expected = evaluation.classify(resize(logits, (75, 100)), membership)
    monkeypatch.setattr(evaluation, "LARGE", 75 * 100 - 1)
    monkeypatch.setattr(evaluation, "classify", None)
    found = evaluation.class_map(logits, (75, 100), membership)
    assert found.dtype == expected.dtype
    assert (found == expected).all()
