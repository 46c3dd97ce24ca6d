"""A client whose model is much slower than the one it was asked for is left out, by name."""

import time

import pytest
import torch

from fedseg.cli.tables import result_table
from fedseg.errors import ModelError
from fedseg.files import read_json
from fedseg.method import pace, teachers
from fedseg.method.baselines import ensemble, make_baselines
from fedseg.method.context import open_context
from fedseg.method.pace import PaceLimit
from fedseg.models import checkpoints
from fedseg.report.write import conclude_run
from fedseg.run.progress import silent
from fedseg.run.records import Inconsistency
from fedseg.run.result import gather_result
from fedseg.workflows.server import run_server


@pytest.fixture
def slow_client(monkeypatch):
    """Client "two" takes a second an image: as its weights may make a processor do."""
    real = checkpoints.load

    def load(folder, *device):
        network, info = real(folder, *device)
        if folder.name == "two":
            network.register_forward_hook(lambda *_: time.sleep(1.0))
        return network, info

    monkeypatch.setattr(teachers.checkpoints, "load", load)
    monkeypatch.setattr(pace, "PATIENCE", 0.5)
    monkeypatch.setattr("fedseg.evaluation.inference.BATCH_PIXELS", 1)  # one image at a time


def test_a_slow_client_is_left_out_by_name_and_the_others_go_on(
    run, federation, slow_client, monkeypatch
):
    federation = federation.model_copy(update={"min_clients": 1})
    run_server(run, federation, silent)
    content = Inconsistency.read(run.inconsistency)
    assert content.clients == ["one"]
    assert content.suspects == ("two",)
    assert "s an image, more than 10 times as long" in content.unusable["two"]
    result = gather_result(run, federation, "completed", {}, {})
    assert result.unusable == content.unusable
    conclude_run(run, federation, result, silent)
    assert "its model takes" in run.report.read_text()
    assert "its model takes" in result_table(result).caption.plain
    left_out = read_json(run.result)["unusable"]
    assert set(left_out) == {"two"}
    members = []
    monkeypatch.setattr(ensemble, "load_ensemble", lambda clients: members.extend(clients))
    monkeypatch.setattr(ensemble, "score_model", lambda *given: given[-1]())  # which loads it
    monkeypatch.setattr("fedseg.method.baselines.BASELINES", _Only())
    make_baselines(open_context(run, federation, silent))
    assert members == ["one"]


class _Only(tuple):
    """The ensemble alone."""

    def __new__(cls):
        return super().__new__(cls, ["ensemble"])

    def load(self, name):
        return ensemble.make


def test_nobody_is_timed_within_the_patience():
    asked = []
    notify = PaceLimit(lambda *_: None, lambda: asked.append(1) or 0.0)
    for done in range(1, 6):
        notify("labels", done, 5)
    assert not asked


def test_the_rate_is_of_the_images_that_were_made_now(monkeypatch):
    """Those that an interrupted run left do not count."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    seen = []
    notify = PaceLimit(lambda *done: seen.append(done), lambda: 1.0)
    now[0] = 1000.0  # until its model was loaded
    for done in range(501, 504):
        notify("labels", done, 1000)
        now[0] += 61 / 3
    with pytest.raises(ModelError, match=r"takes 20\.3 s an image, more than 10 times .* \(1 s\)"):
        notify("labels", 504, 1000)
    assert seen == [("labels", done, 1000) for done in range(501, 505)]


def test_the_usual_time_is_measured_on_the_servers_images(federation):
    server, model = federation.server, federation.model
    seconds = pace.image_seconds(model.plain, federation.training, server, server.labelling)
    assert 0 < seconds < 10
    assert torch.is_grad_enabled()
