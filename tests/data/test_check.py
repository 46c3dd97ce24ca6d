import numpy as np
import pytest
from PIL import Image

from fedseg.data.cards import load_card
from fedseg.data.check import SAMPLE, check
from fedseg.errors import FedsegError

FOLDER = load_card("folder")


def test_a_whole_dataset(make_world):
    root = make_world("world", classes=(0, 8), count=3)
    progress = []
    report = check(FOLDER, root, progress=lambda *seen: progress.append(seen))
    assert report.problems == []
    assert report.found == {"all": 3, "train": 0, "val": 0, "test": 0}
    assert report.opened == 3
    assert progress == [("checking", 1, 3), ("checking", 2, 3), ("checking", 3, 3)]
    assert report.pixels[[0, 8]].tolist() == [3 * 24 * 80] * 2
    assert report.pixels.sum() == 3 * 48 * 80


def test_everything_wrong_is_listed_with_its_file(make_world):
    root = make_world("world", count=6)
    label = np.zeros((48, 80), np.uint8)
    label[0, :7], label[1, :2] = 33, 255
    Image.fromarray(label).save(root / "labels" / "0.png")
    Image.fromarray(np.zeros((48, 81), np.uint8)).save(root / "labels" / "1.png")
    (root / "labels" / "2.png").unlink()
    for path in (root / "images" / "3.png", root / "labels" / "4.png"):
        path.write_bytes(path.read_bytes()[:60])
    Image.fromarray(label).save(root / "labels" / "lonely.png")
    problems = check(FOLDER, root, "all").problems
    wanted = [
        f"{root}/images/2.png: has no label; expected {root}/labels/2.png",
        f"{root}/labels/lonely.png: is a label without an image",
        f"{root}/labels/0.png: label ids that the card 'folder' does not list: 33 (7 px)",
        f"{root}/labels/1.png: is 81x48 pixels, but its image 1.png is 80x48",
        f"2 files: {root}/images/3.png, {root}/labels/4.png: not a readable image",
    ]
    assert len(problems) == len(wanted)
    for problem, start in zip(problems, wanted, strict=True):
        assert problem.startswith(start)


def test_a_line_for_each_kind_of_problem(make_world):
    root = make_world("world", count=6)
    for index in range(5):
        label = np.zeros((48, 80), np.uint8)
        label[0, : index + 1] = 40 + index  # each file has other ids, in other numbers
        Image.fromarray(label).save(root / "labels" / f"{index}.png")
    (root / "labels" / "5.png").write_bytes(b"no image")
    ids, unreadable = check(FOLDER, root, "all").problems
    names = ", ".join(f"{root}/labels/{index}.png" for index in range(3))
    assert ids.startswith(f"5 files: {names} and 2 more: label ids that the card")
    assert unreadable.startswith(f"{root}/labels/5.png: not a readable image")


def test_a_sample_or_everything(make_world):
    root = make_world("world", count=SAMPLE + 10)
    Image.fromarray(np.full((48, 80), 33, np.uint8)).save(root / "labels" / "1.png")
    assert check(FOLDER, root).opened == SAMPLE
    report = check(FOLDER, root, everything=True)
    assert report.opened == SAMPLE + 10
    assert len(report.problems) == 1


def test_counts_against_the_card(tmp_path):
    for path in ("val/a.png", "valannot/a.png", "test/b.png", "testannot/b.png"):
        (tmp_path / path).parent.mkdir()
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / path)
    report = check(load_card("camvid"), tmp_path)
    looked_for = "train/*.png or train/*.jpg"
    assert report.problems == []  # a part of a set is no mistake
    assert report.notes == [
        f"{tmp_path}: no image of split 'train'; looked for {looked_for}",
        f"{tmp_path}: split 'val' has 1 images, 101 are published",
        f"{tmp_path}: split 'test' has 1 images, 233 are published",
    ]
    assert report.found == {"train": 0, "val": 1, "test": 1}


def test_a_split_that_is_not_there_is_a_problem_only_if_it_is_asked_for(tmp_path):
    for path in ("train/a.png", "trainannot/a.png", "val/b.png", "valannot/b.png"):
        (tmp_path / path).parent.mkdir()
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / path)
    report = check(load_card("camvid"), tmp_path)
    assert report.problems == []
    assert f"{tmp_path}: no image of split 'test'; looked for test/*.png" in report.notes[-1]
    with pytest.raises(FedsegError, match=r"split 'test'; looked for .* it does hold train, val"):
        check(load_card("camvid"), tmp_path, "test")


def test_a_split_of_an_own_card_that_is_not_there_is_a_note(make_world):
    root = make_world("world")
    parts = {"all": FOLDER.splits["all"], "night": FOLDER.splits["all"].model_copy(
        update={"images": ("night/*.png",), "labels": ("night-labels/*.png",)})}  # fmt: skip
    report = check(FOLDER.model_copy(update={"splits": parts}), root)
    assert report.problems == []
    assert report.found == {"all": 4, "night": 0}


def test_images_without_published_labels_are_opened_all_the_same(tmp_path):
    folder = tmp_path / "testing" / "image_2"
    folder.mkdir(parents=True)
    (folder / "000000_10.png").write_bytes(b"\x89PNG")
    report = check(load_card("kitti"), tmp_path, "test")
    assert "split 'test' has 1 images, 200 are published" in report.notes[0]
    assert "000000_10.png: not a readable image" in report.problems[0]
    assert len(report.problems) == len(report.notes) == 1


def test_splits_that_overlap_are_opened_once(tmp_path):
    for condition in ("fog", "night"):
        stem = f"{condition}/val/G1/G1_frame_1"
        for path in (f"rgb_anon/{stem}_rgb_anon.png", f"gt/{stem}_gt_labelTrainIds.png"):
            (tmp_path / path).parent.mkdir(parents=True)
            Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / path)
    report = check(load_card("acdc"), tmp_path)
    assert report.found["val"] == 2
    assert report.found["fog-val"] == 1
    assert report.opened == 2


def test_an_empty_root(tmp_path):
    with pytest.raises(FedsegError, match="no image of camvid, any split; looked for train"):
        check(load_card("camvid"), tmp_path)
    with pytest.raises(FedsegError, match="no such folder"):
        check(load_card("camvid"), tmp_path / "nowhere")
