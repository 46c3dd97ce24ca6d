import pytest
import tomli_w

from fedseg import checkpoints, config
from fedseg.config import Model, Suite, Training
from fedseg.errors import FedsegError
from fedseg.files import read_json, write_json
from fedseg.models import seeded_build
from fedseg.suite import row_names, score_suite
from tests.conftest import TINY_MODEL


@pytest.fixture
def models(tmp_path):
    """Two checkpoint folders."""
    model = Model(**TINY_MODEL)
    info = checkpoints.describe(model, Training(crop=(32, 64)))
    folders = [tmp_path / run / "global" for run in ("first", "second")]
    for seed, folder in enumerate(folders):
        checkpoints.save(folder, seeded_build(model, seed), info)
    return folders


@pytest.fixture
def suite(make_world, tmp_path):
    """Two sets, one with a protocol of its own, from a file."""
    make_world("north", seed=1)
    make_world("south", seed=2)
    sets = [
        {"name": "north", "dataset": "folder", "root": "north"},
        {"name": "south", "dataset": "folder", "root": "south", "protocol": {"flip": False}},
    ]
    path = tmp_path / "suite.toml"
    path.write_text(tomli_w.dumps({"protocol": {"flip": True}, "evaluation": sets}))
    return config.load(path, Suite)


def test_every_checkpoint_on_every_set(models, suite, tmp_path):
    out = tmp_path / "out"
    scores = score_suite(models, suite, lambda *_, **__: None, out)
    assert list(scores) == ["first/global", "second/global"]
    assert scores["first/global"]["north"]["protocol"]["flip"] is True
    assert scores["first/global"]["south"]["protocol"]["flip"] is False
    assert read_json(out / "scores.json").keys() == scores.keys()
    cells = (out / "table.md").read_text().splitlines()[3].split("|")
    assert cells[1].strip() == "second/global"
    assert f"{100 * scores['second/global']['south']['miou']:.1f}" in cells[3]
    assert "4 images" in (out / "table.tex").read_text()


def test_it_goes_on_where_it_stopped_unless_the_weights_changed(models, suite, tmp_path):
    out, told = tmp_path / "out", []

    def scored():
        told.clear()
        score_suite(models, suite, lambda stage, *_, **__: told.append(stage), out)
        return sorted(set(told))

    assert len(scored()) == 4
    (out / "first-global@south.json").unlink()
    kept = read_json(out / "first-global@north.json")
    write_json(out / "first-global@north.json", kept | {"miou": 0.123})
    assert scored() == ["first/global on south"]
    assert "12.3" in (out / "table.md").read_text()  # what was there was taken as it is
    model = Model(**TINY_MODEL)
    checkpoints.save(models[1], seeded_build(model, 7), checkpoints.load_info(models[1]))
    assert scored() == ["second/global on north", "second/global on south"]


def test_row_names_are_the_shortest_that_differ(tmp_path):
    assert row_names([tmp_path / "a" / "x", tmp_path / "b" / "y"]) == ["x", "y"]
    assert row_names([tmp_path / "a" / "x", tmp_path / "b" / "x"]) == ["a/x", "b/x"]
    with pytest.raises(FedsegError, match="given twice"):
        row_names([tmp_path / "a", tmp_path / "a"])
