import csv
import json
import logging
import subprocess
import sys
import time

import pytest

from fedseg.config import Tracking
from fedseg.errors import FedsegError
from fedseg.registry import TRACKERS
from fedseg.training import tracking
from fedseg.training.tracking import Track, trackers


def train(settings, folder, name="ann", losses=(0.5, 0.25), first=1):
    """What a training does with its trackers."""
    callbacks = trackers(settings, folder, "first", name)
    for step, loss in enumerate(losses, first):
        for callback in callbacks:
            callback.on_step(step, 9, loss)
    for callback in callbacks:
        callback.on_end(list(losses))
    return callbacks


def test_json_lines_go_on_after_a_resume(tmp_path):
    train(Tracking(trackers=["jsonl"]), tmp_path)
    train(Tracking(trackers=["jsonl"]), tmp_path, losses=[0.125], first=3)
    lines = [json.loads(line) for line in (tmp_path / "ann.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert {(line["project"], line["run"], line["name"]) for line in lines} == {
        ("fedseg", "first", "ann")
    }


def test_csv_has_one_header(tmp_path):
    train(Tracking(trackers=["csv"]), tmp_path)
    train(Tracking(trackers=["csv"]), tmp_path, losses=[0.125], first=3)
    rows = list(csv.DictReader((tmp_path / "ann.csv").open()))
    assert [(row["step"], row["metric"], float(row["value"])) for row in rows] == [
        ("1", "loss", 0.5),
        ("2", "loss", 0.25),
        ("3", "loss", 0.125),
    ]


def test_tensorboard_reads_what_was_logged(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(Tracking(trackers=["tensorboard"]), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "ann")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 0.25)]


def test_mlflow_has_a_run_for_each_training(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = Tracking(trackers=["mlflow"], project="roads")
    train(settings, tmp_path)
    train(settings, tmp_path, "bob", losses=[0.75])
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("roads")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"first/ann", "first/bob"}
    history = client.get_metric_history(runs["first/ann"].info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.5), (2, 0.25)]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_weights_and_biases_stays_offline_unless_asked(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    train(Tracking(trackers=["wandb"]), tmp_path)
    [record] = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    deadline = time.monotonic() + 30  # W&B's own process writes it
    while b"loss" not in record.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_tracker_that_fails_ends_no_training(tmp_path, monkeypatch, caplog):
    class Full:
        calls = 0

        def log(self, step, values):
            Full.calls += 1
            raise OSError("no space left")

        def close(self):
            pytest.fail("closed after it failed")

    track = Track(Full())
    with caplog.at_level(logging.WARNING):
        track.on_step(1, 9, 0.5)
        track.on_step(2, 9, 0.5)
        track.on_end([0.5, 0.5])
    assert Full.calls == 1
    assert "tracking ended: OSError: no space left" in caplog.text
    (tmp_path / "file").write_text("")  # where a folder should be
    assert trackers(Tracking(trackers=["csv"]), tmp_path / "file", "run", "ann") == ()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(TRACKERS, "_entries", {"wandb": "a_module_that_is_not_there:WandB"})
    with pytest.raises(FedsegError, match=r"pip install 'fedseg\[wandb\]'"):
        Tracking(trackers=["wandb"]).load()


def test_a_library_is_imported_only_when_it_is_named():
    libraries = "{'wandb', 'mlflow', 'tensorboard'}"
    code = f"import sys, {tracking.__name__}; print({libraries} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_an_unknown_tracker_is_a_mistake():
    with pytest.raises(ValueError, match="no tracker 'tensorbord'; did you mean 'tensorboard'"):
        Tracking(trackers=["tensorbord"])
