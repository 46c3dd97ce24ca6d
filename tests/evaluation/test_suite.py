import os
import shutil

import numpy as np
import pytest
import tomli_w
from PIL import Image

from fedseg import config
from fedseg.classes import CLASSES
from fedseg.config import Model, Suite, Training
from fedseg.data.cards import load_card
from fedseg.errors import FedsegError
from fedseg.evaluation.suite import as_json, score_suite
from fedseg.evaluation.tables import row_names
from fedseg.files import read_json, write_json
from fedseg.models import checkpoints
from fedseg.models.build import seeded_build
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
        {"name": "south", "dataset": "folder", "root": "south", "protocol": {"height": 32}},
    ]
    path = tmp_path / "suite.toml"
    path.write_text(tomli_w.dumps({"protocol": {"height": 64}, "evaluation": sets}))
    return config.load(path, Suite)


def test_every_checkpoint_on_every_set(models, suite, tmp_path):
    out = tmp_path / "out"
    scores = score_suite(models, suite, lambda *_, **__: None, out)
    assert list(scores) == ["first/global", "second/global"]
    assert scores["first/global"]["north"].protocol.height == 64
    assert scores["first/global"]["south"].protocol.height == 32
    assert read_json(out / "scores.json").keys() == scores.keys()
    cells = (out / "table.md").read_text().splitlines()[3].split("|")
    assert cells[1].strip() == "second/global"
    assert f"{100 * scores['second/global']['south'].miou:.1f}" in cells[3]
    assert "4 images" in (out / "table.tex").read_text()


def scored_by(models, suite, out):
    """Scores into `out`, and gives the stages that had work to do."""
    stages = []
    score_suite(models, suite, lambda stage, *_, **__: stages.append(stage), out)
    return sorted(set(stages))


def test_it_goes_on_where_it_stopped(models, suite, tmp_path):
    out = tmp_path / "out"
    assert len(scored_by(models, suite, out)) == 4
    (out / "first-global@south.json").unlink()
    assert scored_by(models, suite, out) == ["first/global on south"]
    assert scored_by(models, suite, out) == []


def turn_label(tmp_path):
    path = tmp_path / "north" / "labels" / "0.png"
    Image.open(path).rotate(180).save(path)


def turn_label_and_keep_its_times(tmp_path):
    path = tmp_path / "north" / "labels" / "0.png"
    before = path.stat()
    size = len(path.read_bytes())
    turn_label(tmp_path)
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))  # trailing bytes are not looked at
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def turn_image(tmp_path):
    path = tmp_path / "north" / "images" / "1.png"
    Image.open(path).rotate(180).save(path)


def add_pair(tmp_path):
    for part in ("images", "labels"):
        shutil.copy(tmp_path / "north" / part / "0.png", tmp_path / "north" / part / "9.png")


def remove_pair(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / "north" / part / "0.png").unlink()


def edit_score(tmp_path):
    path = tmp_path / "out" / "first-global@north.json"
    write_json(path, read_json(path) | {"miou": 0.123})


def truncate_score(tmp_path):
    path = tmp_path / "out" / "first-global@north.json"
    path.write_text(path.read_text()[:-20])


@pytest.mark.parametrize(
    ("change", "rescored"),
    [
        (turn_label, ["first/global on north", "second/global on north"]),
        (turn_label_and_keep_its_times, ["first/global on north", "second/global on north"]),
        (turn_image, ["first/global on north", "second/global on north"]),
        (add_pair, ["first/global on north", "second/global on north"]),
        (remove_pair, ["first/global on north", "second/global on north"]),
        (edit_score, ["first/global on north"]),
        (truncate_score, ["first/global on north"]),
    ],
)
def test_a_score_is_made_again_when_what_it_was_made_from_changed(
    models, suite, tmp_path, change, rescored
):
    out = tmp_path / "out"
    scored_by(models, suite, out)
    change(tmp_path)
    assert scored_by(models, suite, out) == rescored
    afresh = score_suite(models, suite, lambda *_, **__: None, tmp_path / "afresh")
    assert read_json(out / "scores.json") == as_json(afresh)


def test_other_weights_are_scored_again(models, suite, tmp_path):
    scored_by(models, suite, tmp_path / "out")
    model = Model(**TINY_MODEL)
    checkpoints.save(models[1], seeded_build(model, 7), checkpoints.load_info(models[1]))
    assert scored_by(models, suite, tmp_path / "out") == [
        "second/global on north",
        "second/global on south",
    ]


def test_files_that_were_copied_or_touched_are_not_scored_again(models, suite, tmp_path):
    """The content counts, not where it lies or when it was written."""
    scored_by(models, suite, tmp_path / "out")
    shutil.move(tmp_path / "north", tmp_path / "elsewhere")
    (tmp_path / "north").symlink_to(tmp_path / "elsewhere")
    os.utime(tmp_path / "south" / "labels" / "0.png")
    assert scored_by(models, suite, tmp_path / "out") == []


CARD = """
name = "mine"
title = "Mine"
kind = "real"
images = "images/*.png"
labels = "labels/*.png"
splits.all = {}
[[classes]]
name = "road"
ids = [0, 2]
[[classes]]
name = "building"
ids = [8]
[[classes]]
name = "sky"
ids = [10]
[[classes]]
name = "car"
ids = [13]
"""


def test_a_corrected_card_scores_again_but_not_its_prose(models, make_world, tmp_path):
    make_world("north", seed=1)
    card = tmp_path / "card.toml"
    card.write_text(CARD)
    content = {"evaluation": [{"name": "north", "dataset": str(card), "root": "north"}]}
    (tmp_path / "suite.toml").write_text(tomli_w.dumps(content))
    suite = config.load(tmp_path / "suite.toml", Suite)

    def run():
        load_card.cache_clear()  # a new process
        return scored_by(models[:1], suite, tmp_path / "out")

    assert run() == ["global on north"]
    before = read_json(tmp_path / "out" / "scores.json")["global"]["north"]["confusion"]
    card.write_text(CARD.replace("Mine", "My own"))
    assert run() == []
    card.write_text(
        CARD.replace('"building"\nids = [8]', '"building"\nids = [8, 2]').replace("0, 2", "0")
    )
    assert run() == ["global on north"]
    after = read_json(tmp_path / "out" / "scores.json")["global"]["north"]["confusion"]
    labels = [np.asarray(Image.open(p)) for p in (tmp_path / "north" / "labels").iterdir()]
    pixels = np.bincount(np.ravel(labels))  # by id in the files
    road, building = CLASSES.index("road"), CLASSES.index("building")
    assert sum(before[road]) == pixels[0] + pixels[2]
    assert sum(after[road]) == pixels[0]
    assert sum(after[building]) == pixels[8] + pixels[2]


def test_row_names_are_the_shortest_that_differ(tmp_path):
    assert row_names([tmp_path / "a" / "x", tmp_path / "b" / "y"]) == ["x", "y"]
    assert row_names([tmp_path / "a" / "x", tmp_path / "b" / "x"]) == ["a/x", "b/x"]
    with pytest.raises(FedsegError, match="given twice"):
        row_names([tmp_path / "a", tmp_path / "a"])
