import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fedseg.config import Source
from fedseg.data import resized
from fedseg.data.augment import CropSource
from fedseg.data.dataset import open_dataset
from fedseg.data.resized import ResizedDataset, kept_bytes
from fedseg.resize import resize_image, resize_label
from tests.edges import TOLERANCE, place_of, write_edges

HALF = CropSource(crop=(12, 20), smallest=0.5)  # of 48x80 pixels, 1.25 * 240 / 0.5 are needed


@pytest.fixture
def world(make_world, monkeypatch, tmp_path):
    monkeypatch.setenv("FEDSEG_CACHE", str(tmp_path / "cache"))
    return open_dataset(Source(dataset="folder", root=make_world("world")))


def decoded(monkeypatch, dataset):
    """Numbers of the images that are decoded from now on."""
    seen, image = [], type(dataset).image
    monkeypatch.setattr(
        type(dataset), "image", lambda own, index: seen.append(index) or image(own, index)
    )
    return seen


def files():
    return sorted(resized.folder().glob("*.npz"))


def test_an_image_is_decoded_once_and_resized_as_everything_is(world, monkeypatch):
    size = HALF(48, 80)
    assert size == (19, 32)  # in proportion: 19 * 32 >= 600
    expected = resize_image(world.image(1), size), resize_label(world.label(1), size)
    seen = decoded(monkeypatch, world)
    for _ in range(3):  # anew each time, as another training would be
        image, label = ResizedDataset(world, HALF).pair(1)
        assert (image == expected[0]).all()
        assert (label == expected[1]).all()
    assert seen == [1]
    assert len(files()) == 1
    assert resized.folder().stat().st_mode & 0o777 == 0o700  # private images stay private


def test_without_labels_images_alone_are_kept(world, monkeypatch):
    plain = open_dataset(Source(dataset="folder", root=world.images[0].parents[1]), labelled=False)
    image, label = ResizedDataset(plain, HALF).pair(0)
    assert (image == resize_image(world.image(0), (19, 32))).all()
    assert not label.size
    assert (ResizedDataset(plain, HALF).image(0) == image).all()


def test_another_image_label_size_or_card_is_not_taken_for_it(world, monkeypatch):
    first = ResizedDataset(world, HALF).pair(0)
    root = world.images[0].parents[1]
    Image.fromarray(255 - world.image(0)).save(root / "images" / "0.png")
    changed = ResizedDataset(open_dataset(Source(dataset="folder", root=root)), HALF).pair(0)
    assert (changed[0] != first[0]).any()
    Image.fromarray(np.full_like(world.label(0), 3)).save(root / "labels" / "0.png")
    changed = ResizedDataset(open_dataset(Source(dataset="folder", root=root)), HALF).pair(0)
    assert (changed[1] == 3).all()
    other = ResizedDataset(world, CropSource(crop=(24, 40), smallest=0.5))
    assert other.image(0).shape != first[0].shape
    card = world.card.model_copy(update={"ignore_ids": (3,)})
    ResizedDataset(resized.Dataset(card, world.split, world.images, world.labels), HALF).pair(0)
    assert len(files()) == 5


@pytest.mark.parametrize("content", [b"", b"x" * 99])
def test_a_damaged_file_is_made_again(world, content):
    expected = ResizedDataset(world, HALF).pair(2)
    [file] = files()
    file.write_bytes(content)
    again = ResizedDataset(world, HALF).pair(2)
    assert all((one == other).all() for one, other in zip(expected, again, strict=True))
    assert file.stat().st_size > 1000


def test_an_unwritable_cache_costs_time_only(world, monkeypatch):
    expected = ResizedDataset(world, HALF).pair(0)
    shutil.rmtree(resized.folder())
    resized.folder().write_text("a file where the folder should be")
    found = ResizedDataset(world, HALF).pair(0)
    assert all((one == other).all() for one, other in zip(expected, found, strict=True))


def test_the_folder_is_bounded_and_the_oldest_of_others_go_first(world, make_world, monkeypatch):
    one = ResizedDataset(world, HALF)
    for index in range(4):
        one.pair(index)
    size = max(file.stat().st_size for file in files())
    kept = set(files())
    monkeypatch.setattr(resized, "LARGEST", 6 * size)
    monkeypatch.setattr(resized, "COUNTED_EVERY", 1)
    other = open_dataset(Source(dataset="folder", root=make_world("other", count=8, seed=9)))
    images = [ResizedDataset(other, HALF).pair(index)[0] for index in range(8)]
    assert sum(file.stat().st_size for file in files()) <= 6 * size
    assert not kept & set(files())
    again = ResizedDataset(other, HALF)
    assert all((again.image(index) == images[index]).all() for index in range(8))


def test_half_of_the_disk_stays_free(world, monkeypatch):
    nearly_full = SimpleNamespace(free=2000)
    monkeypatch.setattr(resized.shutil, "disk_usage", lambda _: nearly_full)
    ResizedDataset(world, HALF).pair(0)
    assert not files()
    nearly_full.free = 2**20
    ResizedDataset(world, HALF).pair(0)
    assert len(files()) == 1


def test_the_disk_that_is_needed_is_known_before(world):
    dataset = ResizedDataset(world, HALF)
    for index in range(len(world)):
        dataset.pair(index)
    found = sum(file.stat().st_size for file in files())
    headers = 1000 * len(files())
    assert found - headers < kept_bytes(world, HALF) < found


def test_other_processes_can_use_it(world):
    dataset = ResizedDataset(world, HALF)
    copy = pickle.loads(pickle.dumps(dataset))
    assert (copy.image(3) == dataset.image(3)).all()


@pytest.mark.parametrize("size", [(101, 203), (90, 150)])
@pytest.mark.parametrize("axis", [0, 1])
def test_edges_stay_in_their_place(tmp_path, monkeypatch, size, axis):
    """Of images and labels alike, from the files to what crops are cut from."""
    monkeypatch.setenv("FEDSEG_CACHE", str(tmp_path / "cache"))
    dataset = write_edges(tmp_path / "edges", size, axis)
    small = ResizedDataset(dataset, CropSource(crop=(24, 40), smallest=0.5))
    moved = []
    for index in range(60):
        image, label = small.pair(index)
        assert label.size < size[0] * size[1]
        moved.append(place_of(label, axis) - place_of(image[..., 0] / 255, axis))
    assert abs(np.mean(moved)) < TOLERANCE
