import shutil

import pytest
from typer.testing import CliRunner

from fedseg import config
from fedseg.cli import main
from fedseg.errors import FedsegError
from fedseg.files import read_json, write_text
from fedseg.report.side_by_side import write_side_by_side
from fedseg.run.folder import Run
from fedseg.run.records import Score
from tests.report.test_report import Page


@pytest.fixture
def other(copied):
    """A run with another setting and a better global model on one set."""
    federation = config.load(copied.config)
    changed = federation.model_copy(update={"client_timeout": 9.0})
    write_text(copied.config, config.dump(changed))
    path = copied.score("global", "held-out")
    made_from = read_json(path)["made_from"]
    Score.read(path).model_copy(update={"miou": 0.987}).write(path, made_from)
    return copied


def test_scores_classes_and_pictures_of_all_runs(finished, other, tmp_path):
    out = write_side_by_side([finished.path, other.path], tmp_path / "both.html")
    page = Page(out)
    [[head, *rows]] = page.tables["scores"]
    assert head[0] == "run"
    assert "held-out" in head[1]
    mine = read_json(finished.score("global", "held-out"))["miou"]
    names = [finished.path.name, other.path.name]
    assert [row[0] for row in rows] == names
    assert rows[0][1] == f"{100 * mine:.1f}"
    assert rows[1][1] == "98.7"
    assert "differ in client_timeout." in page.text
    assert page.tables["heat iou"][0][0] == ["class", *names]
    assert f"{names[1]} " in page.text  # beside its pictures
    assert not [r for r in page.references if not r.startswith(("data:", "#"))]


def test_two_runs_of_one_name_are_told_apart(finished, tmp_path):
    same = Run(shutil.copytree(finished.path, tmp_path / "again" / finished.path.name))
    out = write_side_by_side([finished.path, same.path], tmp_path / "both.html")
    rows = Page(out).tables["scores"][0]
    assert [row[0] for row in rows[1:]] == [f"{same.path.name} #1", f"{same.path.name} #2"]
    assert "configurations are the same" in Page(out).text


def test_runs_that_share_no_set(finished, other, tmp_path):
    federation = config.load(other.config)
    moved = federation.evaluation[0].model_copy(update={"name": "elsewhere"})
    write_text(other.config, config.dump(federation.model_copy(update={"evaluation": [moved]})))
    with pytest.raises(FedsegError, match="share no evaluation set with scores"):
        write_side_by_side([finished.path, other.path], tmp_path / "both.html")
    assert not (tmp_path / "both.html").exists()


def test_a_run_without_a_global_model(finished, other, tmp_path):
    shutil.rmtree(other.global_model)
    with pytest.raises(FedsegError, match="copied: the run has no global model yet"):
        write_side_by_side([finished.path, other.path], tmp_path / "both.html")


def test_the_command(finished, other, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main.app, ["report", str(finished.path), str(other.path)])
    assert done.exit_code == 0, done.output
    assert "side-by-side.html" in done.output
    assert (tmp_path / "side-by-side.html").is_file()
