import numpy as np
import pytest
from PIL import Image

from fedseg.classes import PALETTE
from fedseg.config import Source
from fedseg.data.dataset import open_dataset
from fedseg.data.sheet import WIDTH, write_sheet
from fedseg.errors import FedsegError
from tests.edges import TOLERANCE, black_and_white, edge, place_of


def test_a_row_shows_image_label_and_both(make_world, tmp_path):
    root = make_world("world", classes=(8,), count=3)
    Image.fromarray(np.full((48, 80, 3), 201, np.uint8)).save(root / "images" / "0.png")
    dataset = open_dataset(Source(dataset="folder", root=root))
    out = tmp_path / "sheets" / "world.png"
    assert write_sheet(dataset, out, rows=2) == 2
    sheet = np.asarray(Image.open(out))
    height = WIDTH * 48 // 80
    assert sheet.shape == (2 * height, 3 * WIDTH, 3)
    first = sheet[:height]
    assert (first[:, :WIDTH] == 201).all()
    assert (first[:, WIDTH : 2 * WIDTH] == PALETTE[8]).all()
    assert (first[:, 2 * WIDTH :] == 100 + PALETTE[8] // 2).all()


def test_an_unlabelled_set_shows_its_images(make_world, tmp_path):
    dataset = open_dataset(Source(dataset="folder", root=make_world("world")), labelled=False)
    write_sheet(dataset, tmp_path / "a.jpg")
    assert Image.open(tmp_path / "a.jpg").width == WIDTH


def test_nothing_is_left_by_what_fails(make_world, tmp_path):
    root = make_world("world")
    (root / "labels" / "3.png").write_bytes(b"")
    dataset = open_dataset(Source(dataset="folder", root=root))
    out = tmp_path / "out"
    with pytest.raises(FedsegError, match="not the name of an image; end it in"):
        write_sheet(dataset, out / "a.pdf")
    with pytest.raises(FedsegError, match=r"3\.png: not a readable image"):
        write_sheet(dataset, out / "a.png")
    assert not out.exists()


@pytest.mark.parametrize("size", [(240, 960), (101, 333), (48, 1000)])
def test_labels_lie_where_their_images_show_them(tmp_path, size):
    moved = []
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for place in np.linspace(0.3, 0.7, 40):
        label = edge(size, place, axis=1)
        Image.fromarray(black_and_white(label)).save(tmp_path / "images" / "0.png")
        Image.fromarray(label * np.uint8(8)).save(tmp_path / "labels" / "0.png")
        dataset = open_dataset(Source(dataset="folder", root=tmp_path))
        write_sheet(dataset, tmp_path / "sheet.png", rows=1)
        shown, drawn, _ = np.split(np.asarray(Image.open(tmp_path / "sheet.png")), 3, axis=1)
        is_vegetation = (drawn == PALETTE[8]).all(axis=2)
        moved.append(place_of(is_vegetation, 1) - place_of(shown[..., 0] / 255, 1))
    assert abs(np.mean(moved)) < TOLERANCE
