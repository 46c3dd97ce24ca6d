"""Whole federations through Flower and Ray."""

import ast
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from fedseg.cli import console
from fedseg.config import Federation, load
from fedseg.data.dataset import open_dataset
from fedseg.evaluation.evaluate import evaluate
from fedseg.files import read_json
from fedseg.flower.supervisor import free_port
from fedseg.models import checkpoints
from fedseg.run.folder import Run, open_run
from fedseg.run.records import EvaluatorResult, Result
from fedseg.workflows import simulation
from tests.processes import wait_until_gone

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="simulations need Linux"),
]


HANG = """
import pathlib, time

real = pathlib.Path.stat

def stat(path, **options):
    if "hanging/images" in str(path):
        time.sleep(3600)  # as on a network drive that is gone
    return real(path, **options)

pathlib.Path.stat = stat
"""


@pytest.mark.slow
def test_clients_that_raise_or_hang_are_named_and_the_run_goes_on(
    federation_data, make_world, tmp_path, monkeypatch
):
    hanging = make_world("hanging")
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(HANG)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "python"), prepend=os.pathsep)
    federation_data["clients"][0]["model"] = {"arch": "unet"}
    federation_data["clients"] += [
        {"name": "missing", "dataset": "folder", "root": str(tmp_path / "nowhere")},
        {"name": "hanging", "dataset": "folder", "root": str(hanging)},
    ]
    federation_data["evaluators"] = [
        {"name": "city", "dataset": "folder", "root": str(make_world("city", seed=5))},
        {"name": "lost", "dataset": "folder", "root": str(tmp_path / "nowhere")},
    ]
    federation_data["client_timeout"] = 40.0
    federation_data["cross_site_evaluation"] = True
    federation = Federation.model_validate(federation_data)
    run = open_run(tmp_path / "run", federation)
    with console.Bars() as bars:
        simulation.federate(run, federation, bars)
    result = Result.read(run.result)
    assert result.status == "completed"
    status = {name: client.status for name, client in result.clients.items()}
    assert status == {"one": "good", "two": "good", "missing": "failed", "hanging": "failed"}
    assert "no such folder" in result.clients["missing"].reason
    # Whichever of node and server comes first: both give it as long.
    late = re.compile(r"(not done|no answer) within 40 s")
    assert late.search(result.clients["hanging"].reason)
    assert late.search(run.report.read_text())
    assert {path.stem for path in run.curves.iterdir()} == {"one", "two", "global"}
    assert (result.clients["one"].arch, result.clients["two"].arch) == ("unet", "fpn")
    assert set(result.evaluation) == {"one", "two", "global"}
    assert set(result.evaluation["global"]) == {"held-out", "city"}
    assert result.evaluators["city"] == EvaluatorResult(
        status="good", dataset="folder", split="all", images=4
    )
    assert "no such folder" in result.evaluators["lost"].reason
    crossed = read_json(run.cross_site_evaluation("one", "two"))
    assert np.sum(crossed["confusion"]) == 4 * 48 * 80
    assert run.cross_site_evaluation("two", "one").is_file()
    here = fedseg_evaluate(run.global_model, federation.evaluators[0])
    assert result.evaluation["global"]["city"].miou == here.miou


def fedseg_evaluate(checkpoint, source):
    return evaluate(*checkpoints.load(checkpoint), open_dataset(source))


FAILING = """
def train(task):
    raise OSError("the drive is gone")
"""


def test_killed_and_called_again_it_goes_on_without_the_client_that_fails(
    federation_data, make_world, tmp_path
):
    (tmp_path / "failing.py").write_text(FAILING)
    federation_data["clients"][0]["model"] = {"arch": "unet"}
    federation_data["clients"][1]["training"] = {"iterations": 40}
    federation_data["clients"].append(
        {
            "name": "failing",
            "dataset": "folder",
            "root": str(make_world("failing")),
            "trainer": "failing:train",
        }
    )
    city = {"name": "city", "dataset": "folder", "root": str(make_world("city", seed=5))}
    federation_data["evaluators"] = [city]
    federation_data["cross_site_evaluation"] = True
    config, out = tmp_path / "federation.toml", tmp_path / "run"
    config.write_text(tomli_w.dumps(federation_data))
    command = [Path(sys.executable).parent / "fedseg", "simulate", config, "--out", out]
    first = out / "clients" / "one" / "client.json"

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 400
    while not first.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.is_file()
    assert not (out / "result.json").exists()
    written = first.stat().st_mtime_ns
    wait_until_gone(out)

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert first.stat().st_mtime_ns == written
    result = Result.read(out / "result.json")
    status = {name: client.status for name, client in result.clients.items()}
    assert status == {"one": "good", "two": "good", "failing": "failed"}
    assert "the drive is gone" in result.clients["failing"].reason
    assert (result.clients["one"].arch, result.clients["two"].arch) == ("unet", "fpn")
    assert set(result.evaluation) == {"one", "two", "global"}
    for model in result.evaluation.values():
        assert f"{100 * model['held-out'].miou:.1f}" in done.stdout
    assert result.evaluators["city"].images == 4
    run, federation = Run(out), load(config)
    here = fedseg_evaluate(run.global_model, federation.evaluators[0])
    assert result.evaluation["global"]["city"].miou == here.miou
    crossed = read_json(run.cross_site_evaluation("one", "two"))
    assert np.sum(crossed["confusion"]) == 4 * 48 * 80
    assert run.cross_site_evaluation("two", "one").is_file()
    wait_until_gone(out)

    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0
    assert first.stat().st_mtime_ns == written


@pytest.mark.slow
def test_too_few_good_clients_fail_the_run(federation_data, tmp_path):
    federation_data["clients"][1]["root"] = str(tmp_path / "nowhere")
    federation = Federation.model_validate(federation_data)
    run = open_run(tmp_path / "run", federation)
    with console.Bars() as bars, pytest.raises(simulation.RunFailed, match="min_clients = 2"):
        simulation.federate(run, federation, bars)
    result = read_json(run.result)
    assert result["status"] == "failed"
    assert "no such folder" in result["clients"]["two"]["reason"]


@pytest.mark.slow
def test_a_ray_cluster_is_joined_and_left_as_it_was(federation_data, tmp_path):
    """Two Ray nodes on this machine, with a core each."""
    config, out = tmp_path / "federation.toml", tmp_path / "run"
    config.write_text(tomli_w.dumps(federation_data))
    scripts = Path(sys.executable).parent
    address = f"127.0.0.1:{free_port()}"
    start = [scripts / "ray", "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
    listing = (
        "import ray; from ray._private.state import actors;"
        f"ray.init('{address}', log_to_driver=False);"
        "print([(one['State'], one['Address']['NodeID']) for one in actors().values()])"
    )
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder, ExitStack() as nodes:
        port = address.rpartition(":")[2]
        head = ["--head", f"--port={port}", f"--temp-dir={folder}"]
        for options in (head, [f"--address={address}"]):
            node = nodes.enter_context(subprocess.Popen([*start, *options], cwd=folder))
            nodes.callback(node.terminate)
            _wait_for_ray(address)
        command = [scripts / "fedseg", "simulate", config, "--out", out, "--ray-address", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stderr
        listed = subprocess.run(
            [sys.executable, "-c", listing], capture_output=True, text=True, check=False
        )
        assert listed.returncode == 0, listed.stderr
    assert read_json(out / "result.json")["status"] == "completed"
    states, places = zip(*ast.literal_eval(listed.stdout), strict=True)
    assert set(states) == {"DEAD"}
    assert len(set(places)) == 2


def _wait_for_ray(address):
    status = [Path(sys.executable).parent / "ray", "status", "--address", address]
    deadline = time.monotonic() + 60
    while subprocess.run(status, capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)
