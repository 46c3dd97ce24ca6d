import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fedseg.classes import CITYSCAPES, PALETTE
from fedseg.config import Evaluation, Federation, Model, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.evaluation.inference import PLAIN
from fedseg.models import checkpoints
from fedseg.report import pictures, samples
from fedseg.report.candidates import Candidates
from fedseg.report.samples import find_samples
from tests.conftest import TINY_MODEL
from tests.edges import TOLERANCE, Brightness, place_of, write_edges

INFO = checkpoints.describe_model(Model(**TINY_MODEL), Training(crop=(32, 64)))

COARSE = """
name = "coarse"
title = "Coarse"
kind = "real"
images = "images/*.png"
labels = "labels/*.png"
[splits.all]
[[classes]]
name = "ground"
ids = [0, 1]
members = ["road", "sidewalk"]
[[classes]]
name = "rest"
ids = [2, 8, 10, 13]
members = ["building", "vegetation", "sky", "car"]
"""


class Always(nn.Module):
    """Gives one class everywhere."""

    def __init__(self, train_id: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(19))
        self.scores.data[train_id] = 5

    def forward(self, images):
        return self.scores[None, :, None, None].expand(len(images), 19, *images.shape[2:])


def pixels(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))[..., :3]


def test_disagreement_and_mistakes_are_parts_of_the_pixels(make_world):
    root = make_world("world", (0, 2, 8, 10, 255), count=3)
    dataset = open_dataset(Source(dataset="folder", root=root))
    candidates = Candidates("world", dataset, CITYSCAPES, PLAIN, 2)
    for name, train_id in {"road": 0, "too": 0, "sky": 10}.items():
        candidates.predict(name, Always(train_id), INFO)
    assert candidates.indices == [0, 2]
    assert candidates.disagreement(["road", "too"], 0) == 0
    assert candidates.disagreement(["road", "too", "sky"], 0) == pytest.approx(2 / 3)
    label = np.asarray(Image.open(dataset.labels[2]))
    labelled = label[label != 255]
    assert candidates.wrong("sky", 1) == pytest.approx((labelled != 10).mean())


def test_a_coarser_set_is_shown_in_its_own_classes(make_world, tmp_path):
    root = make_world("world", (0, 2, 8, 10, 13), count=1)
    card = tmp_path / "coarse.toml"
    card.write_text(COARSE)
    dataset = open_dataset(Source(dataset=str(card), root=root))
    candidates = Candidates("world", dataset, CITYSCAPES, PLAIN, 5)
    candidates.predict("sidewalk", Always(1), INFO)
    assert candidates.classes == ["ground", "rest"]
    assert set(np.unique(candidates.labels[0])) == {0, 1}
    assert not candidates.predictions["sidewalk"][0].any()  # 0: ground
    assert (candidates.colours[1] == PALETTE[2]).all()  # as building


def test_the_images_shown_are_those_that_tell_most(make_world, monkeypatch):
    """Two clients that see light and dark: they differ where an image is both."""
    root = make_world("world", (0, 2), count=8)
    for index, dark in enumerate((0, 10, 20, 30, 40, 44, 46, 48)):
        image = np.full((48, 80, 3), 255, np.uint8)
        image[:dark] = 0
        Image.fromarray(image).save(root / "images" / f"{index}.png")
        Image.fromarray(np.full((48, 80), 2, np.uint8)).save(root / "labels" / f"{index}.png")

    class Contrast(nn.Module):
        def __init__(self):
            super().__init__()
            self.none = nn.Parameter(torch.zeros(1))

        def forward(self, images):
            scores = torch.zeros(len(images), 19, *images.shape[2:])
            scores[:, 0] = 1
            scores[:, 2] = 2 * (images[:, 0] > 0)
            return scores

    networks = {"one": Always(0), "two": Contrast(), "global": Contrast()}
    monkeypatch.setattr(samples.checkpoints, "load", lambda path, _: (networks[path], INFO))
    world = {"dataset": "folder", "root": str(root)}
    federation = Federation.model_validate(
        {
            "clients": [{"name": "one", **world}, {"name": "two", **world}],
            "server": world,
            "evaluation": [{"name": "held-out", **world}],
        }
    )
    models = {name: name for name in networks}
    notify = []
    held_out, servers = find_samples(
        federation, models, ["one", "two"], lambda *state: notify.append(state)
    )
    assert notify[-1] == ("report", 3, 3)
    typical, disagreed, wrong = held_out.groups.values()
    assert [sample.name for sample in typical] == ["2.png", "6.png"]
    assert [sample.name for sample in disagreed] == ["0.png", "1.png"]
    assert [sample.name for sample in wrong] == ["7.png", "5.png"]
    assert [tile.title for tile in wrong[0].tiles] == [
        "one", "two", "global", "truth", "global's mistakes"
    ]  # fmt: skip
    assert (pixels(wrong[0].tiles[3].source) == PALETTE[2]).all()
    assert (pixels(wrong[0].tiles[4].source)[:40] == pictures.WRONG).all()
    assert "clients differ on 100% of the pixels" in disagreed[0].caption
    reasons = ["Typical: at even distances through the set", "Where the clients disagree most"]
    assert list(servers.groups) == reasons  # nobody knows the truth
    assert isinstance(federation.evaluation[0], Evaluation)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (12, [2, 6, 10])]
)
def test_images_at_even_distances(count, expected):
    assert samples.evenly_spaced(count, 3) == expected


def test_a_picture_keeps_its_proportions_and_its_classes():
    assert pictures.shown_size(1024, 2048) == (240, 480)
    assert pictures.shown_size(100, 200) == (100, 200)
    label = np.array([[0, 18], [10, 255]], np.uint8)
    shown = pixels(pictures.segmentation_uri(label, CITYSCAPES.colour_table()))
    assert (shown[0, 1] == PALETTE[18]).all()
    assert (shown[1, 1] == 0).all()


@pytest.mark.parametrize("size", [(187, 967), (101, 711), (37, 53)])
@pytest.mark.parametrize("axis", [0, 1])
def test_labels_and_predictions_lie_where_their_images_show_them(tmp_path, size, axis):
    dataset = write_edges(tmp_path / "edges", size, axis)
    candidates = Candidates("edges", dataset, CITYSCAPES, PLAIN, 60)
    candidates.predict("model", Brightness(), INFO)
    for maps in (candidates.labels, candidates.predictions["model"]):
        moved = [
            place_of(found, axis) - place_of(image[..., 0] / 255, axis)
            for found, image in zip(maps, candidates.images, strict=True)
        ]
        assert abs(np.mean(moved)) < TOLERANCE
