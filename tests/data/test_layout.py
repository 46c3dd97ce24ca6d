import os
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from fedseg.config import Source
from fedseg.data.cards import load_card
from fedseg.data.check import check
from fedseg.data.dataset import open_dataset
from fedseg.data.layout import find_pairs, match_stars
from fedseg.data.survey import survey_labels
from fedseg.errors import FedsegError


def write(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(root / path)


def message_of(card, root, split=None):
    with pytest.raises(FedsegError) as error:
        open_dataset(Source(dataset=card, root=root, split=split))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_datasets_root_is_recognised(tmp_path):
    write(tmp_path, "RGB/0000000.png", "GT/LABELS/0000000.png")
    message = message_of("cityscapes", tmp_path, "train")
    assert "no image of cityscapes, split 'train'" in message
    assert "looked for leftImg8bit/train/*/*_leftImg8bit.png" in message
    assert message.endswith("it looks like card 'synthia'")


def test_a_split_that_is_not_there(tmp_path):
    write(tmp_path, "val/a.png", "valannot/a.png")
    assert message_of("camvid", tmp_path, "train").endswith("it does hold val")


def test_a_root_one_folder_too_high(tmp_path):
    write(tmp_path / "CamVid", "val/a.png", "valannot/a.png")
    message = message_of("camvid", tmp_path, "val")
    assert message.endswith(f"its files lie in {tmp_path / 'CamVid'}; make that the root")


def test_nothing_known(tmp_path):
    assert "Expected layout: RGB/*.png, GT/LABELS/*.png" in message_of("synthia", tmp_path)


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


@pytest.fixture
def pairs(tmp_path):
    """Names of the images and labels found in a folder of images/ and labels/."""

    def found():
        dataset = open_dataset(Source(dataset="folder", root=tmp_path))
        return [(i.name, n.name) for i, n in zip(dataset.images, dataset.labels, strict=True)]

    return found


def test_suffixes_in_either_case(tmp_path, pairs):
    write(tmp_path, "images/a.PNG", "images/b.png", "images/c.Jpg", "images/d.JPEG")
    write(tmp_path, "labels/a.png", "labels/b.PNG", "labels/c.pNg", "labels/d.png")
    wanted = [("a.PNG", "a.png"), ("b.png", "b.PNG"), ("c.Jpg", "c.pNg"), ("d.JPEG", "d.png")]
    assert pairs() == wanted
    assert check(load_card("folder"), tmp_path).problems == []


def test_stems_keep_their_case(tmp_path, pairs):
    write(tmp_path, "images/a.png", "images/A.png", "labels/a.png", "labels/A.png")
    assert pairs() == [("A.png", "A.png"), ("a.png", "a.png")]


def test_a_label_of_the_very_name_is_preferred(tmp_path, pairs):
    write(tmp_path, "images/a.png", "labels/a.PNG", "labels/a.png")
    assert pairs() == [("a.png", "a.png")]


def test_hidden_files_and_folders_are_left_out(tmp_path, pairs):
    write(tmp_path, "images/a.png", "labels/a.png")
    for name in ("images/._a.png", "labels/._a.png", "images/.trash/b.png", "labels/.b.png"):
        write(tmp_path, name)
        (tmp_path / name).write_bytes(b"Mac OS X")
    assert pairs() == [("a.png", "a.png")]
    report = check(load_card("folder"), tmp_path)
    assert report.problems == report.notes == []
    # Below a `*` for folders too.
    write(tmp_path / "c", "leftImg8bit/val/.x/a_leftImg8bit.png")
    assert "no image of cityscapes" in message_of("cityscapes", tmp_path / "c", "val")


def test_links_to_files_and_folders_are_followed(tmp_path, pairs):
    write(tmp_path / "far", "images/a.png", "labels/a.png")
    (tmp_path / "images").symlink_to(tmp_path / "far" / "images")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.png").symlink_to(tmp_path / "far" / "labels" / "a.png")
    assert pairs() == [("a.png", "a.png")]


def test_a_dangling_link_is_named(tmp_path, pairs):
    write(tmp_path, "images/a.png", "labels/a.png", "labels/b.png")
    (tmp_path / "images" / "b.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(FedsegError, match=r"images/b\.png: .* link to a file that is missing"):
        pairs()
    [problem] = check(load_card("folder"), tmp_path).problems
    assert "images/b.png" in problem
    (tmp_path / "images" / "b.png").unlink()
    write(tmp_path, "images/b.png")
    (tmp_path / "labels" / "b.png").unlink()
    (tmp_path / "labels" / "b.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(FedsegError, match=r"images/b\.png: has no label; expected .*labels/b\.png"):
        pairs()


def test_two_images_for_one_label(tmp_path, pairs):
    write(tmp_path, "images/a.png", "images/a.jpg", "labels/a.png")
    with pytest.raises(FedsegError, match=r"a\.jpg and a\.png: two images with one label"):
        pairs()
    assert "two images with one label" in check(load_card("folder"), tmp_path).problems[0]
    # Without labels, there is nothing to mistake.
    source = Source(dataset="folder", root=tmp_path)
    assert len(open_dataset(source, labelled=False)) == 2


def test_names_in_any_unicode_form_and_none(tmp_path, pairs):
    composed, decomposed = "stra\u00dfe-\u00e9.png", "stra\u00dfe-e\u0301.png"
    write(tmp_path, f"images/{decomposed}", f"labels/{composed}")
    assert pairs() == [(decomposed, composed)]
    latin1 = os.fsdecode(b"caf\xe9.png")
    write(tmp_path, f"images/{latin1}", f"labels/{latin1}")
    assert (latin1, latin1) in pairs()
    dataset = open_dataset(Source(dataset="folder", root=tmp_path))
    assert survey_labels(dataset).shape == (2, 19)
    assert survey_labels(dataset).shape == (2, 19)


def test_names_as_long_as_they_may_be(tmp_path, pairs):
    name = "a" * 251 + ".png"
    write(tmp_path, f"images/{name}", f"labels/{name}")
    assert pairs() == [(name, name)]


def test_a_root_that_is_a_file_and_one_that_may_not_be_read(tmp_path, monkeypatch, pairs):
    path = tmp_path / "file"
    path.touch()
    assert "no such folder" in message_of("folder", path)
    write(tmp_path, "images/a.png", "labels/a.png")

    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    with pytest.raises(FedsegError, match=r"images: can't be read \(Permission denied\)"):
        pairs()


def test_known_faults_of_a_set_are_left_out(tmp_path):
    for name in ("00001", "15188", "17705"):
        write(tmp_path, f"images/{name}.png", f"labels/{name}.png")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "labels" / "15188.png")
    dataset = open_dataset(Source(dataset="gta5", root=tmp_path))
    assert [path.name for path in dataset.images] == ["00001.png"]
    card = load_card("gta5")
    splits = {**card.splits, "all": card.splits["all"].model_copy(update={"count": 3})}
    card = card.model_copy(update={"splits": splits})
    report = check(card, tmp_path)
    assert report.problems == []
    assert "known faults of the set, left out: " in report.notes[0]
    assert "15188.png" in report.notes[0]
    for part in ("images", "labels"):
        (tmp_path / part / "15188.png").unlink()
        (tmp_path / part / "17705.png").unlink()
    report = check(card, tmp_path)
    assert report.problems == report.notes == []


def test_what_other_tools_put_beside_the_labels_is_one_line(tmp_path):
    for number in range(30):
        write(tmp_path, f"images/{number:05d}.png", f"labels/{number:05d}.png")
        write(tmp_path, f"labels/{number:05d}_labelTrainIds.png")
    write(tmp_path, "labels/00003_color.png")
    report = check(load_card("folder"), tmp_path)
    assert report.problems == []
    assert sorted(report.notes) == [
        "1 files *_color.png beside the labels are not used",
        "30 files *_labelTrainIds.png beside the labels are not used",
    ]
    for number in range(100, 130):
        write(tmp_path, f"labels/{number}.png")
        write(tmp_path, f"images/{number + 100}.png")
    report = check(load_card("folder"), tmp_path)
    assert len(report.problems) == 2
    assert report.problems[0].startswith("30 images have no label: ")
    assert "200.png" in report.problems[0]
    assert "and 27 more" in report.problems[0]
    assert report.problems[1].startswith("30 labels have no image: ")


def test_many_files_in_bearable_time(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for number in range(5000):
        (tmp_path / "images" / f"{number}.png").touch()
        (tmp_path / "labels" / f"{number}.png").touch()
    started = time.monotonic()
    assert len(find_pairs(load_card("folder"), "all", tmp_path)) == 5000
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("pattern", "name", "stars"),
    [
        ("*.png", "a.PNG", ("a",)),
        ("*_*.png", "a_b_c.png", ("a_b", "c")),
        ("a*b*c.png", "abbcc.png", ("b", "c")),
        ("*a*a*.png", "aaa.png", ("a", "", "")),
        ("*a.png", "a.png", ("",)),
        ("ab*ba.png", "aba.png", None),
        ("*A.png", "a.png", None),
        ("a.png", "a.PNG", ()),
        ("*x*.png", "a.png", None),
        ("*.d*.png", "a.d.d1.png", ("a.d", "1")),
    ],
)
def test_what_stars_stand_for(pattern, name, stars):
    """As the greedy regular expression of the pattern has it."""
    assert match_stars(pattern, name) == stars
    stem, _, suffix = pattern.rpartition(".")
    regex = re.escape(stem).replace(r"\*", "(.*)") + rf"\.(?i:{suffix})"
    found = re.fullmatch(regex, name)
    assert (found and found.groups()) == stars


@pytest.mark.parametrize("folder", ["", "*/"])
def test_many_stars_take_no_longer_than_few(tmp_path, folder):
    """A regular expression tries every way to share the name among the stars: minutes."""
    card = tmp_path / "mine.toml"
    stars = "*a" * 24
    head = f'name="mine"\ntitle="Mine"\nkind="real"\nlabels="{folder}*.png"\n[splits.all]\n'
    card.write_text(f'images="{folder and stars + "b/"}{stars}b.png"\n{head}')
    root = tmp_path / "root"
    write(root, f"{'a' * 120}/{'a' * 200}.png" if folder else f"{'a' * 200}.png")
    started = time.monotonic()
    with pytest.raises(FedsegError, match="no image of mine"):
        open_dataset(Source(dataset=str(card), root=root))
    assert time.monotonic() - started < 1
