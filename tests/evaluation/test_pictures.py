import numpy as np
import pytest
import torch
from PIL import Image

from fedseg.errors import FedsegError
from fedseg.evaluation.pictures import as_rgb

RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(RGB),
        Image.fromarray(np.dstack([RGB, np.full((4, 6), 7, np.uint8)])),  # transparent
        RGB,
        RGB / 255,
        (RGB / 255).astype(np.float32),
        torch.from_numpy(RGB),
        torch.from_numpy(RGB).permute(2, 0, 1),
        torch.from_numpy(RGB).permute(2, 0, 1) / 255,
    ],
    ids=["PIL", "RGBA", "uint8", "float64", "float32", "HWC", "CHW", "float CHW"],
)
def test_the_same_picture_in_many_forms(picture):
    found = as_rgb(picture)
    assert found.dtype == np.uint8
    assert (found == RGB).all()


def test_files(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    assert (as_rgb(path) == RGB).all()
    assert (as_rgb(str(path)) == RGB).all()
    with pytest.raises(FedsegError, match="No such file"):
        as_rgb(tmp_path / "b.png")


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1)])
def test_grey_is_three_equal_channels(shape):
    grey = RGB[..., 0].reshape(shape)
    for picture in (grey, torch.from_numpy(grey), Image.fromarray(grey.reshape(4, 6))):
        found = as_rgb(picture)
        assert found.shape == (4, 6, 3)
        assert (found == RGB[..., :1]).all()


def test_exif_orientation_is_followed():
    image = Image.fromarray(RGB)
    image.getexif()[0x0112] = 6  # to be turned by 90 degrees
    assert as_rgb(image).shape == (6, 4, 3)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (RGB.astype(np.int64), "int64: give uint8"),
        (RGB.astype(float), "holds 0..1"),
        (-(RGB / 255), "holds 0..1"),
        (RGB / 255 * np.nan, "holds 0..1"),
        (np.zeros((4, 6, 4), np.uint8), r"shape \[4, 6, 4\]"),
        (np.zeros((0, 6, 3), np.uint8), "shape"),
        (np.zeros(5, np.uint8), r"shape \[5\]"),
        (np.zeros((2, 4, 6, 3), np.uint8), "shape"),
    ],
)
def test_what_is_no_picture(picture, message):
    with pytest.raises(FedsegError, match=message):
        as_rgb(picture)
