import shutil

import numpy as np
import pytest
from PIL import Image

from fedseg.config import Source
from fedseg.data.dataset import open_dataset
from fedseg.errors import FedsegError


def write(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(root / path)


def said(card, root, split=None):
    with pytest.raises(FedsegError) as error:
        open_dataset(Source(dataset=card, root=root, split=split))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_datasets_root_is_recognised(tmp_path):
    write(tmp_path, "RGB/0000000.png", "GT/LABELS/0000000.png")
    message = said("cityscapes", tmp_path, "train")
    assert "no image of cityscapes, split 'train'" in message
    assert "looked for leftImg8bit/train/*/*_leftImg8bit.png" in message
    assert message.endswith("it looks like card 'synthia'")


def test_a_split_that_is_not_there(tmp_path):
    write(tmp_path, "val/a.png", "valannot/a.png")
    assert said("camvid", tmp_path, "train").endswith("it does hold val")


def test_a_root_one_folder_too_high(tmp_path):
    write(tmp_path / "CamVid", "val/a.png", "valannot/a.png")
    message = said("camvid", tmp_path, "val")
    assert message.endswith(f"its files lie in {tmp_path / 'CamVid'}; make that the root")


def test_nothing_known(tmp_path):
    assert "Expected layout: RGB/*.png, GT/LABELS/*.png" in said("synthia", tmp_path)


def test_of_several_label_patterns_the_first_that_is_there(tmp_path):
    write(tmp_path, "training/images/a.jpg", "training/v1.2/labels/a.png")
    source = Source(dataset="mapillary-1.2", root=tmp_path, split="train")
    assert open_dataset(source).labels[0] == tmp_path / "training/v1.2/labels/a.png"
    write(tmp_path, "training/labels/a.png")
    assert open_dataset(source).labels[0] == tmp_path / "training/labels/a.png"
    shutil.rmtree(tmp_path / "training/v1.2")
    (tmp_path / "training/labels/a.png").unlink()
    with pytest.raises(FedsegError, match=r"has no label; expected .*training/labels/a\.png"):
        open_dataset(source)
