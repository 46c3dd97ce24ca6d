"""The commands as a user calls them."""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from PIL import Image

from fedseg import config
from fedseg.config import Model, Training
from fedseg.evaluation.video import writing
from fedseg.models import checkpoints
from fedseg.models.build import build
from fedseg.run.folder import free_folder, open_run
from tests.conftest import TINY_MODEL


@pytest.fixture
def checkpoint(tmp_path):
    info = checkpoints.describe(Model(**TINY_MODEL), Training(crop=(32, 64)))
    checkpoints.save(tmp_path / "model", build(Model(**TINY_MODEL)), info)
    return tmp_path / "model"


def test_evaluate_prints_a_table_or_json(run_cli, checkpoint, make_world):
    root = make_world("world")
    done = run_cli("evaluate", checkpoint, "--dataset", "folder", "--root", root)
    assert done.returncode == 0, done.err
    assert "4 images" in done.out
    read = run_cli("evaluate", checkpoint, "--dataset", "folder", "--root", root, "--json")
    score = json.loads(read.out)["model"]["folder"]
    assert f"{100 * score['miou']:.1f}" in done.out
    assert "model on folder" in read.err


def test_evaluate_a_suite(run_cli, checkpoint, make_world, tmp_path):
    make_world("north")
    make_world("south", seed=1)
    sets = [{"name": name, "dataset": "folder", "root": name} for name in ("north", "south")]
    (tmp_path / "suite.toml").write_text(tomli_w.dumps({"evaluation": sets}))
    suite, out = tmp_path / "suite.toml", tmp_path / "scores"
    done = run_cli("evaluate", checkpoint, "--suite", suite, "--out", out)
    assert done.returncode == 0, done.err
    assert "north" in done.out
    assert "mean" in done.out
    assert {path.name for path in out.iterdir()} >= {"table.md", "table.tex", "scores.json"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "either --dataset CARD or --suite FILE"),
        (["--dataset", "folder", "--suite", "s.toml"], "either --dataset CARD or --suite FILE"),
        (["--suite", "s.toml", "--root", "."], "--root and --split go with --dataset"),
        (["--suite", "nowhere.toml"], "no such file"),
    ],
)
def test_evaluate_on_nothing_or_too_much(run_cli, checkpoint, arguments, expected):
    done = run_cli("evaluate", checkpoint, *arguments)
    assert done.returncode == 2
    assert expected in done.err


def test_predict(run_cli, checkpoint, make_world, tmp_path):
    images = make_world("world") / "images"
    done = run_cli("predict", checkpoint, images, images / "0.png", "--out", tmp_path / "out")
    assert done.returncode == 2  # 0.png is named twice
    done = run_cli("predict", checkpoint, images, "--out", tmp_path / "out")
    assert done.returncode == 0, done.err
    assert len(list((tmp_path / "out").iterdir())) == 12


@pytest.mark.parametrize(
    ("command", "options", "expected"),
    [
        ("predict", ["drive.mp4", "--probabilities"], "are not written of videos"),
        ("report", ["--watch", "--out", "a.html"], "leave out --out"),
        ("report", ["other", "--watch"], "--watch shows one run"),
        ("deploy", ["--add", "n", "n.pub", "--remove", "n"], "--add and --remove"),
        ("push", ["me/first", "--card", "card.md", "--private"], "--card sends nothing"),
        ("simulate", ["--seed", "1", "--set", "seed=2"], "what --seed sets"),
    ],
)
def test_an_option_that_another_one_would_make_useless_is_refused(
    run_cli, checkpoint, make_world, tmp_path, monkeypatch, command, options, expected
):
    monkeypatch.chdir(tmp_path)
    images = make_world("world") / "images"
    with writing(tmp_path / "drive.mp4", 6.0) as video:
        video.write(np.zeros((32, 64, 3), np.uint8))
    (tmp_path / "mine.toml").touch()
    given = {
        "predict": [checkpoint, images, "--out", "out"],
        "push": [checkpoint],
        "simulate": ["mine.toml"],
        "report": ["run"],
        "deploy": ["nodes", "--certs", "certs"],
    }
    before = sorted(tmp_path.rglob("*"))
    done = run_cli(command, *given[command], *options)
    assert done.returncode == 2
    assert expected in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_completed_run_as_json_and_in_silence(run_cli, finished):
    config, out = finished / "federation.toml", finished / "runs" / "embedded"
    done = run_cli("simulate", config, "--out", out, "--json", "-q")
    assert done.returncode == 0, done.err
    assert json.loads(done.out) == json.loads((out / "result.json").read_text())
    assert done.err == ""


def test_compare_and_distil_as_json(run_cli, finished):
    run = finished / "runs" / "embedded"
    done = run_cli("compare", run, "--json", "--out", finished / "tables")
    assert "| global |" in (finished / "tables" / "table.md").read_text()
    assert done.returncode == 0, done.err
    table = json.loads(done.out)
    assert table["columns"] == ["stormnight"]
    assert {"suburb", "fedavg", "feddf", "ensemble", "centralized", "global"} < set(table["rows"])
    done = run_cli("distill", run, "--without", "suburb", "--out", finished / "without", "--json")
    assert done.returncode == 0, done.err
    assert set(json.loads(done.out)["clients"]) == {"boulevard", "oldtown"}


def _no_root(data):
    data["clients"][0]["root"] = "/nowhere/at/all"


def _no_split(data):
    data["evaluation"][0] |= {"dataset": "camvid", "split": "tset"}


def _no_label(data):
    (Path(data["clients"][1]["root"]) / "labels" / "2.png").unlink()


def _out_of_range(data):
    label = Path(data["clients"][1]["root"]) / "labels" / "2.png"
    Image.fromarray(np.full((48, 80), 77, np.uint8)).save(label)


def _corrupt(data):
    (Path(data["server"]["root"]) / "images" / "1.png").write_bytes(b"\x89PNG\r\n")


def _architecture(data):
    data["clients"][0]["model"] = {"arch": "fpm"}


def _size(data):
    data["training"]["crop"] = [30, 64]


def _key(data):
    data["sevrer"] = data.pop("server")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_no_root, "client 'one': /nowhere/at/all: no such folder"),
        (
            _no_split,
            "evaluation 'held-out': camvid: the card has no split 'tset'; did you mean 'test'",
        ),
        (_no_label, "2.png: has no label"),
        (_out_of_range, "does not list: 77 (3840 px)"),
        (_corrupt, "server: "),
        (_architecture, "client 'one': no architecture 'fpm'; did you mean 'fpn'"),
        (_size, "30x64"),
        (_key, "unknown key 'sevrer'; did you mean 'server'"),
    ],
)
def test_mistakes_are_one_line_status_2_and_leave_nothing(
    run_cli, federation_data, tmp_path, spoil, expected
):
    spoil(federation_data)
    config = tmp_path / "federation.toml"
    config.write_text(tomli_w.dumps(federation_data))
    done = run_cli("simulate", config, "--out", tmp_path / "run", "-q")
    assert done.returncode == 2
    assert expected in done.err
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_folder_with_another_run_is_refused(run_cli, federation_data, tmp_path):
    config = tmp_path / "federation.toml"
    config.write_text(tomli_w.dumps(federation_data))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    done = run_cli("simulate", config, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "is not empty and holds no run; choose another --out" in done.err


def test_a_folder_of_another_configuration_names_the_keys(run_cli, finished, tmp_path):
    out, file = finished / "runs" / "embedded", finished / "federation.toml"
    done = run_cli(
        "simulate", file, "--out", out, "--set", "server.distillation.training.iterations=9"
    )
    assert done.returncode == 2
    assert "already holds a run with another configuration" in done.err
    assert "(server.distillation.training.iterations);" in done.err


def test_another_seed_goes_into_a_folder_of_its_own(federation_data, tmp_path):
    config_file = tmp_path / "mine.toml"
    config_file.write_text(tomli_w.dumps(federation_data))
    one = config.load(config_file)
    two = config.with_seed(one, one.seed + 1)
    first = tmp_path / "runs" / "mine"
    assert free_folder(first, one) == first
    run = open_run(first, one)
    run.inconsistency.touch()
    assert free_folder(first, one) == first  # to be resumed
    reordered = one.model_copy(update={"clients": one.clients[::-1]})
    assert free_folder(first, reordered) == tmp_path / "runs" / "mine-2"
    second = free_folder(first, two)
    assert second == tmp_path / "runs" / "mine-2"
    second.mkdir()
    (second / "notes.txt").write_text("mine")
    assert free_folder(first, two) == tmp_path / "runs" / "mine-3"


def test_a_checkpoint_that_is_none(run_cli, make_world, tmp_path):
    done = run_cli("evaluate", tmp_path, "--dataset", "folder", "--root", make_world("world"))
    assert done.returncode == 2
    assert "not a checkpoint folder" in done.err


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("evaluate runs/embedded --dataset folder --root data/stormnight", "runs/embedded/global"),
        ("evaluate runs/embedded/config.toml --dataset folder --root data", "runs/embedded/global"),
        ("predict runs/embedded photo.jpg --out out", "runs/embedded/global"),
        (
            "predict runs/embedded/global/model.safetensors photo.jpg --out out",
            "runs/embedded/global",
        ),
        ("export runs/embedded --out model.onnx", "runs/embedded/global"),
        ("push runs/embedded me/first", "runs/embedded/global"),
        ("distill runs/embedded --with runs/embedded", "runs/embedded/clients/boulevard"),
        ("distill runs/embedded/global", "runs/embedded"),
        ("report runs/embedded/global", "runs/embedded"),
        ("report runs/embedded/report.html", "runs/embedded"),
        ("report runs/embedded runs/embedded/clients/suburb", "runs/embedded"),
        ("report --watch runs/embedded/clients/suburb", "runs/embedded"),
        ("compare runs/embedded/global", "runs/embedded"),
        ("audit runs/embedded/global", "runs/embedded"),
        ("simulate runs/embedded", "runs/embedded/config.toml"),
        ("check runs/embedded", "runs/embedded/config.toml"),
    ],
)
def test_a_run_for_a_checkpoint_and_the_other_way_round(
    run_cli, finished, monkeypatch, command, meant
):
    monkeypatch.chdir(finished)
    Path("runs/embedded/report.html").touch()
    Path("runs/embedded/audit.jsonl").touch()
    done = run_cli(*command.split())
    assert done.returncode == 2
    error = done.err.splitlines()[-1]
    assert error.startswith("error: ")
    assert re.search(f"did you mean (.* or )?'({finished}/)?{meant}'", error), error


def test_a_setting_of_the_wrong_type_is_one_line(run_cli, tmp_path):
    for setting in ("training=10", "training.crop=96x128", "training.iterations=" + "1" * 5000):
        done = run_cli("simulate", "--set", setting, "--out", tmp_path / "run")
        assert done.returncode == 2
        assert done.err.startswith("error: ")
        assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


COMMANDS = {
    "simulate": ["simulate", "federation.toml", "--out"],
    "evaluate": ["evaluate", "model", "--dataset", "folder", "--root", "world", "--out"],
    "predict": ["predict", "model", "world/images/0.png", "--out"],
    "data check": ["data", "check", "folder", "world", "--sheet"],
    "certs": ["deploy", "certs", "--host", "localhost"],
}


@pytest.mark.parametrize("out", ["file/below", "file", "a" * 300, "link/below", "locked/x"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_cannot_be_made_is_one_line_and_nothing_is_written(
    run_cli, checkpoint, make_world, federation_data, tmp_path, monkeypatch, command, out
):
    monkeypatch.chdir(tmp_path)
    make_world("world")
    (tmp_path / "federation.toml").write_text(tomli_w.dumps(federation_data))
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    real = os.access  # root may write everywhere
    monkeypatch.setattr(os, "access", lambda path, _: "locked" not in str(path) and real(path, 2))
    target = f"{out}/sheet.png" if command == "data check" else out
    before = sorted(tmp_path.rglob("*"))
    done = run_cli(*COMMANDS[command], target)
    assert done.returncode == 2
    lines = [line for line in done.err.splitlines() if not line.startswith("checking")]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "choose another" in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_errors_of_the_system_are_one_line_with_the_files_name(run_cli, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a"))

    monkeypatch.setattr("fedseg.data.cards.load_card", full)
    done = run_cli("data", "list", "folder")
    assert done.returncode == 2
    assert done.err == f"error: {tmp_path}/a: No space left on device; make room, then repeat " + (
        "the command\n"
    )


def test_a_cache_that_cannot_be_written_is_named(run_cli, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FEDSEG_CACHE", str(tmp_path / "file" / "cache"))
    source = ["--dataset", "streetsim", "--split", "stormnight"]
    model = Model(**TINY_MODEL)
    info = checkpoints.describe(model, Training(crop=(32, 64)))
    checkpoints.save(tmp_path / "model", build(model), info)
    done = run_cli("evaluate", tmp_path / "model", *source)
    assert done.returncode == 2
    assert "set FEDSEG_CACHE to a folder that can be written to" in done.err
    assert len(done.err.splitlines()) == 1


def test_ctrl_c_says_how_to_go_on(run_cli, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fedseg.workflows.simulation.simulate", interrupted)
    done = run_cli("simulate", "--out", tmp_path / "run")
    assert done.returncode == 130
    assert done.err == "interrupted; the same command resumes where this one stopped\n"


def test_runs_as_a_table_or_json(run_cli, finished):
    done = run_cli("runs", finished / "runs")
    assert done.returncode == 0
    assert "embedded" in done.out
    assert "completed" in done.out
    # The quickstart page, where it was tested before, has left another run there.
    listed = json.loads(run_cli("runs", finished / "runs", "--json").out)
    run = next(run for run in listed if Path(run["path"]).name == "embedded")
    assert (run["status"], run["clients"]) == ("completed", 3)
    assert list(run["scores"]) == ["stormnight"]
