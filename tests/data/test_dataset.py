import numpy as np
import pytest
from PIL import Image

from fedseg.config import Source
from fedseg.data.dataset import open_dataset
from fedseg.data.label_map import LabelMap
from fedseg.errors import FedsegError


def test_images_find_their_labels(make_world):
    root = make_world("world", classes=(0, 8), count=3)
    dataset = open_dataset(Source(dataset="folder", root=root))
    assert len(dataset) == 3
    assert [path.name for path in dataset.labels] == ["0.png", "1.png", "2.png"]
    assert dataset.image(0).shape == (48, 80, 3)
    assert set(np.unique(dataset.label(0))) == {0, 8}


def test_nested_patterns_pair_by_what_each_star_matched(tmp_path):
    # As IDD lays it out: the same frame number in two drives must not be mixed up.
    for drive in ("0", "17"):
        image = tmp_path / "leftImg8bit" / "train" / drive / "frame1_image.jpg"
        label = tmp_path / "gtFine" / "train" / drive / "frame1_label.png"
        for path, array in ((image, np.zeros((4, 4, 3))), (label, np.full((4, 4), len(drive)))):
            path.parent.mkdir(parents=True)
            Image.fromarray(array.astype(np.uint8)).save(path)
    dataset = open_dataset(Source(dataset="idd-lite", root=tmp_path, split="train"))
    assert [int(dataset.label(i).max()) for i in range(2)] == [1, 2]
    assert dataset.labels[1].parent.name == dataset.images[1].parent.name == "17"


def test_an_unlabelled_set_needs_no_labels(make_world):
    root = make_world("world")
    for path in (root / "labels").iterdir():
        path.unlink()
    dataset = open_dataset(Source(dataset="folder", root=root), labelled=False)
    assert dataset.labels is None
    with pytest.raises(FedsegError, match=r"0\.png: has no label"):
        open_dataset(Source(dataset="folder", root=root))


def test_missing_folder_and_empty_folder(tmp_path):
    with pytest.raises(FedsegError, match="no such folder; set the root"):
        open_dataset(Source(dataset="folder", root=tmp_path / "nowhere"))
    with pytest.raises(FedsegError, match="is it the right root"):
        open_dataset(Source(dataset="folder", root=tmp_path))
    with pytest.raises(FedsegError, match="no root"):
        open_dataset(Source(dataset="folder"))


def test_corrupt_files_are_named(make_world):
    root = make_world("world")
    dataset = open_dataset(Source(dataset="folder", root=root))
    for path in (root / "images" / "1.png", root / "labels" / "1.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(FedsegError, match=r"images/1\.png: not a readable image"):
        dataset.image(1)
    with pytest.raises(FedsegError, match=r"labels/1\.png: not a readable image"):
        dataset.label(1)


def test_unknown_label_ids_are_counted(make_world):
    root = make_world("world")
    label = np.zeros((48, 80), np.uint8)
    label[0, :7] = 33
    Image.fromarray(label).save(root / "labels" / "0.png")
    dataset = open_dataset(Source(dataset="folder", root=root))
    with pytest.raises(FedsegError, match=r"0\.png: label ids .* does not list: 33 \(7 px\)"):
        dataset.label(0)


def test_labels_of_the_wrong_kind(make_world):
    root = make_world("world")
    Image.fromarray(np.zeros((48, 80, 3), np.uint8)).save(root / "labels" / "0.png")
    dataset = open_dataset(Source(dataset="folder", root=root))
    with pytest.raises(
        FedsegError, match="is a colour image, but the card 'folder' lists no colours"
    ):
        dataset.label(0)


def test_a_palette_image_gives_ids_not_colours(make_world):
    root = make_world("world")
    image = Image.fromarray(np.full((48, 80), 13, np.uint8), mode="P")
    image.putpalette([200, 100, 50] * 256)
    image.save(root / "labels" / "0.png")
    assert (open_dataset(Source(dataset="folder", root=root)).label(0) == 13).all()


def test_a_coarse_dataset_cannot_be_trained_on(tmp_path):
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / folder / "a.png")
    dataset = open_dataset(Source(dataset="camvid", root=tmp_path, split="train"))
    with pytest.raises(FedsegError, match="not trained on"):
        LabelMap(dataset.card).train_ids()
