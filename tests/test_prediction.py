import numpy as np
import pytest
from PIL import Image

from fedseg import checkpoints
from fedseg.config import Model, Training
from fedseg.errors import FedsegError
from fedseg.models import build
from fedseg.prediction import find_images, overlay, predict
from tests.conftest import TINY_MODEL


def test_files_are_of_the_inputs_size_and_agree(make_world, tmp_path):
    model = Model(**TINY_MODEL)
    info = checkpoints.describe(model, Training(crop=(32, 64)))
    checkpoints.save(tmp_path / "model", build(model), info)
    images = find_images([make_world("world") / "images"])
    predict(tmp_path / "model", images, tmp_path / "out", lambda *_: None)
    for path in images:
        label = Image.open(tmp_path / "out" / f"{path.stem}_trainId.png")
        drawn = Image.open(tmp_path / "out" / f"{path.stem}_overlay.jpg")
        assert label.size == drawn.size == (80, 48)
        assert label.mode == "L"
        assert np.asarray(label).max() < 19


def test_overlay_is_half_picture_half_colour():
    image = np.full((1, 1, 3), 100, np.uint8)
    assert overlay(image, np.zeros((1, 1), np.uint8))[0, 0].tolist() == [114, 82, 114]


def test_inputs_that_make_no_sense(make_world, tmp_path):
    with pytest.raises(FedsegError, match="no such file or folder"):
        find_images([tmp_path / "nowhere"])
    with pytest.raises(FedsegError, match="no image in this folder"):
        find_images([tmp_path])
    one, two = make_world("one"), make_world("two")
    with pytest.raises(FedsegError, match="would both be written as 0_"):
        find_images([one / "images", two / "images"])
