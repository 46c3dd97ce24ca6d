import numpy as np
import pytest
from PIL import Image

from fedseg.config import Source
from fedseg.data import survey as module
from fedseg.data.dataset import open_dataset
from fedseg.data.survey import survey_labels, train_id_counts
from fedseg.errors import FedsegError


def test_counts_every_pixel_once_and_remembers(make_world, monkeypatch):
    root = make_world("world", classes=(0, 8, 10), count=3)
    dataset = open_dataset(Source(dataset="folder", root=root))
    counts = survey_labels(dataset)
    assert counts.shape == (3, 19)
    assert (counts.sum(axis=1) == 48 * 80).all()
    assert (counts[:, [0, 8, 10]] == 16 * 80).all()
    assert np.array_equal(train_id_counts(dataset, counts), counts)
    monkeypatch.setattr(module, "_count", lambda *_: pytest.fail("surveyed again"))
    assert np.array_equal(survey_labels(dataset), counts)


def test_a_changed_file_is_surveyed_again(make_world):
    root = make_world("world", classes=(0, 8), count=2)
    dataset = open_dataset(Source(dataset="folder", root=root))
    survey_labels(dataset)
    Image.fromarray(np.full((48, 80), 255, np.uint8)).save(root / "labels" / "1.png")
    assert survey_labels(dataset)[1].sum() == 0


def test_sizes_that_differ_and_corrupt_images(make_world):
    root = make_world("world")
    Image.fromarray(np.zeros((48, 81), np.uint8)).save(root / "labels" / "2.png")
    with pytest.raises(
        FedsegError, match=r"2\.png: is 81x48 pixels, but its image 2\.png is 80x48"
    ):
        survey_labels(open_dataset(Source(dataset="folder", root=root)))
    (root / "images" / "2.png").write_bytes(b"")
    with pytest.raises(FedsegError, match="not a readable image"):
        survey_labels(open_dataset(Source(dataset="folder", root=root), labelled=False))


def test_classes_that_are_not_trained_on_are_not_counted(tmp_path):
    # CARLA up to 0.9.13: road 7, sky 13, and vehicles of all kinds 10.
    label = np.array([[7, 7, 13, 10]], np.uint8)
    for folder, array in (("rgb", np.zeros((1, 4, 3), np.uint8)), ("semantic", label)):
        (tmp_path / folder).mkdir()
        Image.fromarray(array).save(tmp_path / folder / "1.png")
    dataset = open_dataset(Source(dataset="carla-0.9.13", root=tmp_path))
    by_train_id = train_id_counts(dataset, survey_labels(dataset))
    assert by_train_id[0, [0, 10]].tolist() == [2, 1]
    assert by_train_id.sum() == 3
