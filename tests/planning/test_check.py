import json
import shutil
from types import SimpleNamespace

import pytest
import tomli_w

from fedseg.config import Federation
from fedseg.planning import check, disk, estimate
from fedseg.planning.check import check_federation


def quiet(*_, **__):
    """Takes progress and shows nothing."""


def test_everything_that_is_wrong_is_listed_at_once(federation_data, tmp_path):
    federation_data["clients"][0]["root"] = str(tmp_path / "nowhere")
    shutil.rmtree(tmp_path / "held-out" / "labels")
    federation_data["clients"][1]["model"] = {"encoder": "tu-lcnet_05"}
    report = check_federation(Federation.model_validate(federation_data), tmp_path, quiet)
    owners = [problem.split(":")[0] for problem in report.problems]
    assert owners == ["client 'two'", "client 'one'", "evaluation 'held-out'"]
    assert not report.stages


@pytest.fixture
def estimated(monkeypatch):
    """A federation that takes 5 GB of disk and 3 GB of memory."""
    stage = estimate.Cost("clients", 9.0, memory=3 * 10**9, disk=5 * 10**9)
    monkeypatch.setattr(estimate, "estimate_costs", lambda *_: [stage])
    monkeypatch.setattr(disk, "written_bytes", lambda _: [5 * 10**9])


def test_what_does_not_fit_is_a_problem(estimated, federation, tmp_path, monkeypatch):
    out = tmp_path / "new" / "runs"  # not there yet
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=4 * 10**9))
    monkeypatch.setattr(check, "memory", lambda: 2 * 10**9)
    problems = check_federation(federation, out, quiet).problems
    assert [problem.split(":")[0] for problem in problems] == ["disk", "memory"]
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=6 * 10**9))
    monkeypatch.setattr(check, "memory", lambda: 4 * 10**9)
    assert check_federation(federation, out, quiet).problems == []
    assert not out.exists()


def test_the_command_prints_the_stages_and_the_licences(
    estimated, run_cli, federation_data, tmp_path, monkeypatch
):
    file = tmp_path / "federation.toml"
    file.write_text(tomli_w.dumps(federation_data))
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=9 * 10**9))
    done = run_cli("check", file, "-q")
    assert done.returncode == 0, done.err
    assert "5.0 GB" in done.out
    assert "note: no client has a labelled pixel of 13 of the 19 classes: sidewalk" in done.out
    assert "licence of the data of folder: not known" in done.out
    shutil.rmtree(tmp_path / "one")
    done = run_cli("check", file, "-q", "--json")
    assert done.returncode == 2
    assert "client 'one'" in json.loads(done.out)["problems"][0]
