"""Folders of rendered images, and the commands."""

import cv2
import numpy as np
import pytest
from rendered import __main__ as commands
from rendered import write
from rendered.rendering.render import Rendered
from rendered.statistics import contact_sheet, frequencies
from typer.testing import CliRunner

from fedseg.config import Source
from fedseg.data.dataset import open_dataset
from fedseg.errors import FedsegError


class Painter:
    """Stands in for a renderer: an image's number is its colour."""

    def __init__(self, *_):
        pass

    def render(self, number):
        if number == 3:
            raise ValueError("no room for a road")
        labels = np.full((24, 32), 10, np.uint8)
        labels[12:] = 0
        labels[0] = 255
        return Rendered(np.full((24, 32, 3), 10 * number, np.uint8), labels, "clear")


class SameProcess:
    """Stands in for a pool of processes."""

    def __init__(self, workers, context, initializer):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *args):
        from concurrent.futures import Future

        future = Future()
        future.set_result(function(*args))
        return future

    def shutdown(self, cancel_futures):
        pass


@pytest.fixture(autouse=True)
def painter(monkeypatch):
    monkeypatch.setattr(write, "Renderer", Painter)
    monkeypatch.setattr(write, "start", lambda: (None, None))
    monkeypatch.setattr(write, "ProcessPoolExecutor", SameProcess)
    monkeypatch.setattr(commands, "start", lambda: (None, None))
    monkeypatch.setattr(write, "_renderers", {})


def run(*args):
    return CliRunner().invoke(commands.app, [str(arg) for arg in args])


def test_only_what_is_missing_is_rendered(tmp_path):
    folder = tmp_path / "metro"
    assert run("render", "metro", "--out", tmp_path, "--count", 3).exit_code == 0
    kept = (folder / "images" / "00001.jpg").stat().st_mtime_ns
    (folder / "labels" / "00002.png").unlink()  # half of a pair is not a pair
    assert write.missing(folder, range(3)) == [2]
    assert run("render", "metro", "--out", tmp_path, "--count", 3).exit_code == 0
    assert write.missing(folder, range(3)) == []
    assert (folder / "images" / "00001.jpg").stat().st_mtime_ns == kept


def test_a_street_that_cannot_be_built_is_named(tmp_path):
    result = run("render", "metro", "--out", tmp_path, "--first", 2, "--count", 3)
    assert result.exit_code == 0
    assert "metro 3 left out: ValueError: no room for a road" in result.stdout
    assert write.missing(tmp_path / "metro", range(2, 5)) == [3]


def test_nothing_half_written_is_left(tmp_path):
    run("render", "metro", "--out", tmp_path, "--count", 2)
    files = sorted(p.name for p in (tmp_path / "metro").rglob("*") if p.is_file())
    assert files == ["00000.jpg", "00000.png", "00001.jpg", "00001.png"]


def test_a_rendered_world_is_a_dataset(tmp_path):
    run("render", "metro", "--out", tmp_path, "--count", 2)
    data = open_dataset(Source(dataset="folder", root=tmp_path / "metro"))
    assert len(data) == 2
    assert np.abs(data.image(1).astype(int) - 10).max() <= 1
    assert set(np.unique(data.label(1))) == {0, 10, 255}


def test_frequencies_by_hand(tmp_path):
    run("render", "metro", "--out", tmp_path, "--count", 2)
    found = frequencies(tmp_path / "metro")
    assert found.images == 2
    assert found.pixels[0] == pytest.approx(12 / 23)
    assert found.pixels[10] == pytest.approx(11 / 23)
    assert found.ignored == pytest.approx(1 / 24)
    assert found.present.sum() == 2
    assert "road" in run("statistics", tmp_path / "metro").stdout


def test_contact_sheet_has_images_above_labels(tmp_path):
    run("render", "metro", "--out", tmp_path, "--count", 3)
    sheet = contact_sheet(tmp_path / "metro", first=1, count=8, columns=4)
    assert sheet.shape == (48, 4 * 32, 3)
    assert abs(int(sheet[5, 5, 0]) - 10) <= 1
    np.testing.assert_array_equal(sheet[24 + 20, 5], (128, 64, 128))  # road, BGR
    out = tmp_path / "sheet.png"
    assert run("sheet", tmp_path / "metro", out).exit_code == 0
    assert cv2.imread(str(out)) is not None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("render", "atlantis", "--out", "x"), "no world atlantis; the worlds are metro, suburb"),
        (("sheet", "nowhere", "x.png"), "nowhere has no rendered images"),
        (("statistics", "nowhere"), "nowhere has no rendered images"),
    ],
)
def test_mistakes_are_one_line(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*args)
    assert isinstance(result.exception, FedsegError)
    assert message in str(result.exception)


def test_a_sheet_that_cannot_be_written_is_said(tmp_path):
    run("render", "metro", "--out", tmp_path, "--count", 1)
    result = run("sheet", tmp_path / "metro", tmp_path / "sheet.txt")
    assert "must end in .png or .jpg" in str(result.exception)
