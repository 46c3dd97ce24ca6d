import json
import logging
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from fedseg.config import Tracking, Training
from fedseg.errors import FedsegError
from fedseg.files import read_json
from fedseg.models.build import IMAGENET
from fedseg.processes import Child, ProcessKilled, messages
from fedseg.registry import TRACKERS
from fedseg.training import tracking
from fedseg.training.callbacks import Callback, WriteCurve
from fedseg.training.loop import TrainingRun, fit
from fedseg.training.losses import cross_entropy
from fedseg.training.state import Pace
from fedseg.training.tracking import Track, open_trackers

KINDS = [kind for kind in TRACKERS if find_spec(kind)]
STEPS = 12


def train(settings, folder, name="ann", losses=(0.5, 0.25), first=1):
    """What a training does with its trackers; the steps before `first` are done already."""
    callbacks = open_trackers(settings, folder, "first", name)
    for callback in callbacks:
        callback.on_start([0.0] * (first - 1))
    for step, loss in enumerate(losses, first):
        for callback in callbacks:
            callback.on_step(step, 9, loss)
    for callback in callbacks:
        callback.on_end(list(losses))
    return callbacks


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
    settings = Tracking(trackers=["mlflow"])
    train(settings, tmp_path)
    train(settings, tmp_path, "bob", losses=[0.75])
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("fedseg")
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


MAKES_ITS_FOLDER = """
class Tracker:
    def __init__(self, folder, run, name):
        folder.mkdir(exist_ok=True)

    def log(self, step, values): ...

    def close(self): ...
"""


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
    (tmp_path / "makes_its_folder.py").write_text(MAKES_ITS_FOLDER)
    settings = Tracking(trackers=[f"{tmp_path}/makes_its_folder.py:Tracker"])
    assert open_trackers(settings, tmp_path / "file", "run", "ann") == ()


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


class Kept:
    """Holds four steps that were logged before a kill."""

    def __init__(self):
        self.held = {1: 0.5, 2: 0.25, 3: 0.2, 4: 0.1}

    def resume(self, step):
        self.held = {number: loss for number, loss in self.held.items() if number <= step}
        return max(self.held, default=0)

    def log(self, step, values):
        assert step not in self.held
        self.held[step] = values["loss"]

    def close(self): ...


@pytest.mark.parametrize("losses", [[], [0.5], [0.5, 0.25, 0.2, 0.1, 0.05, 0.04]])
def test_a_tracker_holds_each_step_once_after_a_resume(losses):
    """Whether the training goes on before the step at which it was killed, or after it."""
    kept = Kept()
    track = Track(kept)
    track.on_start(losses)
    track.on_step(len(losses) + 1, 9, 0.01)
    assert kept.held == dict(enumerate([*losses, 0.01], 1))


class KillAt(Callback):
    """Ends the process as the system does when memory runs out."""

    def __init__(self, step):
        self.step = step

    def on_step(self, step, total, loss):
        if step == self.step:
            if find_spec("wandb"):
                time.sleep(2)  # W&B's own process writes what came before
            os.kill(os.getpid(), signal.SIGKILL)


def example(rng):
    return rng.integers(0, 256, (8, 8, 3)).astype(np.uint8), rng.integers(0, 5, (8, 8))


def fit_tracked(folder, kinds, name="ann", *others):
    settings = Training(iterations=STEPS, batch_size=2, crop=(32, 32))
    torch.manual_seed(0)
    callbacks = (
        *open_trackers(Tracking(trackers=kinds), folder, "first", name),
        WriteCurve(folder / f"{name}-curve.json"),
        *others,
    )
    run = TrainingRun(
        settings=settings,
        seed=0,
        device=torch.device("cpu"),
        state=folder / f"{name}.safetensors",
        callbacks=callbacks,
        save_seconds=0,
    )
    fit(nn.Conv2d(3, 5, 1), example, cross_entropy, IMAGENET, run)


def fit_and_die(connection, folder, kinds, name, save, kill):
    """Saves once, after a step, and is killed at a later one."""
    calls = iter(range(1, STEPS + 1))
    Pace.is_due = lambda self: next(calls) == save
    fit_tracked(folder, kinds, name, KillAt(kill))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """What every tracker holds of a training killed at step 9, 4 after its save, and resumed.

    Another one, bob's, is killed before its first save. Both are then resumed at once.
    """
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("WANDB_MODE", raising=False)
        for name, save in (("ann", 5), ("bob", 0)):
            with (
                Child(fit_and_die, folder, KINDS, name, save, 9) as child,
                pytest.raises(ProcessKilled),
            ):
                list(messages([child]))
            assert (folder / f"{name}.safetensors").is_file() == bool(save)
            fit_tracked(folder, KINDS, name)
        fit_tracked(folder, [], "whole")
    return folder


def every_step(folder):
    """Each step once, with the loss of a training that nothing interrupted."""
    losses = read_json(folder / "whole-curve.json")["loss"]
    return [(step, pytest.approx(loss, abs=1e-4)) for step, loss in enumerate(losses, 1)]


@pytest.mark.parametrize("name", ["ann", "bob"])
@pytest.mark.slow
class TestStepsOfAResumedTrainingAreLoggedOnce:
    def test_curve(self, tracked, name):
        curve = read_json(tracked / f"{name}-curve.json")
        assert list(zip(*curve.values(), strict=True)) == every_step(tracked)

    def test_tensorboard(self, tracked, name):
        pytest.importorskip("tensorboard")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tracked / "tensorboard" / name)).Reload()
        assert [(e.step, e.value) for e in events.Scalars("loss")] == every_step(tracked)

    def test_mlflow(self, tracked, name):
        pytest.importorskip("mlflow")
        from mlflow.tracking import MlflowClient

        client = MlflowClient(f"sqlite:///{tracked}/mlflow.db")
        experiment = client.get_experiment_by_name("fedseg").experiment_id
        [run] = client.search_runs([experiment], f"run_name = 'first/{name}'")
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [(metric.step, metric.value) for metric in history] == every_step(tracked)
        assert run.info.status == "FINISHED"

    def test_weights_and_biases(self, tracked, name):
        pytest.importorskip("wandb")
        from wandb.proto.wandb_internal_pb2 import Record
        from wandb.sdk.internal.datastore import DataStore

        seen = {}
        for path in (tracked / "wandb").glob("offline-run-*/run-*.wandb"):
            store = DataStore()
            store.open_for_scan(str(path))
            run, rows = "", []
            while data := store.scan_data():
                record = Record()
                record.ParseFromString(data)
                run = run or record.run.display_name
                items = {item.key or item.nested_key[0]: item for item in record.history.item}
                if "loss" in items:
                    rows.append((record.history.step.num, json.loads(items["loss"].value_json)))
            seen.setdefault(run, []).append(rows)
        assert seen[name] == [every_step(tracked)]
