import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from fedseg.data.cards import card_names, load_card


@pytest.fixture
def data(run_cli):
    """Calls `fedseg data ...`: gives its exit status, output and errors."""
    return partial(run_cli, "data")


def test_list(data):
    done = data("list")
    assert done.returncode == 0
    for name in card_names():
        assert name in done.out
    done = data("list", "idd-lite")
    assert "2 + 5 groups" in done.out
    assert "Register at the home page" in done.out
    done = data("list", "cityscape")
    assert done.returncode == 2
    assert "did you mean 'cityscapes'" in done.err
    assert [card["name"] for card in json.loads(data("list", "--json").out)] == card_names()
    assert json.loads(data("list", "idd-lite", "--json").out)["splits"]["val"]["count"] == 204


def test_check(data, make_world):
    root = make_world("world")
    done = data("check", "folder", root, "--all")
    assert done.returncode == 0, done.err
    assert "nothing wrong" in done.out
    assert "all 4" in done.out
    Image.fromarray(np.full((48, 80), 33, np.uint8)).save(root / "labels" / "1.png")
    (root / "labels" / "2.png").unlink()
    done = data("check", "folder", root)
    assert done.returncode == 2
    assert f"{root}/labels/1.png: label ids that the card 'folder' does not list" in done.out
    assert f"{root}/images/2.png: has no label" in done.out
    assert done.err.endswith(f"error: {root}: 2 problems, listed above\n")
    done = data("check", "folder", root, "--json", "--quiet")
    assert done.returncode == 2
    report = json.loads(done.out)
    assert report["found"]["all"] == 4
    assert len(report["problems"]) == 2
    assert done.err == f"error: {root}: 2 problems, listed above\n"


def test_a_sheet_is_written_of_data_that_can_be_read(data, make_world, tmp_path):
    root, sheet = make_world("world"), tmp_path / "sheet.png"
    done = data("check", "folder", root, "--sheet", sheet)
    assert done.returncode == 0, done.err
    assert f"4 of 4 images shown in {sheet}" in done.out
    assert Image.open(sheet).width == 3 * 480
    (root / "labels" / "2.png").unlink()
    sheet.unlink()
    assert data("check", "folder", root, "--sheet", sheet).returncode == 2
    assert not sheet.exists()


def test_mistakes_are_one_line(data, make_world, tmp_path):
    for arguments in (
        ("check", "camvid", make_world("world")),
        ("check", "camvid", tmp_path, "--sheet", "a.png"),
        ("check", "folder", tmp_path, "--split", "tset", "--sheet", "a.png"),
    ):
        done = data(*arguments)
        assert done.returncode == 2
        assert done.err.startswith("error: ")
        assert len(done.err.splitlines()) == 1


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Makes every card that of streetsim, with two images a split, in a cache of its own."""
    card = load_card("streetsim")
    few = {name: split.model_copy(update={"count": 2}) for name, split in card.splits.items()}
    small = card.model_copy(update={"splits": few})
    monkeypatch.setattr("fedseg.data.cards.load_card", lambda name: small)
    monkeypatch.setattr("fedseg.data.own_datasets.load_card", lambda name: small)
    monkeypatch.setenv("FEDSEG_CACHE", str(tmp_path / "cache"))
    return small


def test_embedded_data_is_checked_without_a_folder(data, small):
    done = data("check", "streetsim", "--json")
    assert done.returncode == 0, done.err
    report = json.loads(done.out)
    assert report["found"] == dict.fromkeys(small.splits, 2)
    assert report["opened"] == 2 * len(small.splits)
    assert report["problems"] == report["notes"] == []
    done = data("check", "streetsim", "--split", "harbour")
    assert done.returncode == 0, done.err
    assert "harbour 2" in done.out
    assert "nothing wrong" in done.out


def test_data_that_is_not_embedded_needs_a_folder(data):
    done = data("check", "camvid")
    assert done.returncode == 2
    assert done.err == "error: camvid: no root; set `root` to the folder of the dataset\n"


def test_embedded_data_is_shown_without_a_folder(data, small, tmp_path):
    out = tmp_path / "sheet.png"
    done = data("check", "streetsim", "--split", "harbour", "--sheet", out)
    assert done.returncode == 0, done.err
    assert out.is_file()
