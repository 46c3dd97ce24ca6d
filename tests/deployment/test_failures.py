"""What breaks is mended, and what was done is not done again."""

import contextlib
import os
import signal
import subprocess

import pytest

from fedseg.files import read_json
from fedseg.models import checkpoints
from fedseg.run.progress import read_all
from fedseg.storage.hashes import content_hash
from tests.conftest import make_world_in
from tests.deployment.conftest import OWN_MODEL, SPARING, Deployment
from tests.disks import small_disk
from tests.processes import processes_of, wait_until, wait_until_gone

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_server_and_a_node_are_killed_and_the_run_goes_on(nodes, federation_content):
    """The server while it collects uploads, the node while it trains."""
    federation_content["clients"][1]["training"] = {"iterations": 100}
    del federation_content["evaluators"]
    out = nodes.home / "runs" / "broken"
    run = nodes.state / "runs" / "broken"
    first = run / "clients" / "one" / "client.json"
    running = nodes.submit(federation_content, out)
    wait_until(first.is_file, 500, lambda: nodes.log("one"))
    wait_until(lambda: _stage_of(nodes, "two") == "training", 500, lambda: nodes.log("two"))
    nodes.kill("two")
    nodes.kill("server")
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "nothing listens there" in errors
    assert {path.name for path in run.joinpath("clients").glob("[!.]*")} == {"one"}
    assert not (run / "result.json").exists()

    written = first.stat().st_mtime_ns
    nodes.start_server()
    nodes.start_node("two")
    again = nodes.submit(federation_content, out)
    _, errors = again.communicate(timeout=500)
    assert again.returncode == 0, errors + nodes.log("two")
    assert first.stat().st_mtime_ns == written
    result = read_json(out / "result.json")
    assert result["status"] == "completed"
    assert result["clients"]["two"]["iterations"] == 100


def test_a_server_killed_at_its_own_work_ends_as_one_that_was_not(nodes, federation_content):
    many = make_world_in(nodes.home, "many", count=300, seed=4)  # to be scored for some seconds
    federation_content["evaluation"][0]["root"] = str(many)
    federation_content["server"]["distillation"] = {"training": {"iterations": 60}}
    whole = _completed(nodes, federation_content, "whole")
    trained = _times(nodes.home, "node-*/state/checkpoint-*/*")
    assert trained

    run = nodes.state / "runs" / "killed"
    one, last = (run / "evaluation" / f"{model}@held-out.json" for model in ("one", "global"))
    for has_begun, end in (
        (lambda: read_all(run / "progress").get("server", {}).get("stage") == "distillation",
         run / "global"),
        (one.is_file, last),
    ):  # fmt: skip
        running = nodes.submit(federation_content, nodes.home / "runs" / "killed")
        wait_until(has_begun, 500, lambda: nodes.log("server"))
        nodes.kill("server")
        assert not end.exists()
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 2
        assert "nothing listens there" in errors
        assert not (run / "result.json").exists()
        nodes.start_server()
    done = _times(run, "clients/*/*", "global/*", "evaluation/one@*")
    killed = _completed(nodes, federation_content, "killed")
    assert _times(run, "clients/*/*", "global/*", "evaluation/one@*") == done
    assert _times(nodes.home, "node-*/state/checkpoint-*/*") == trained
    for name in ("one", "two"):
        assert killed["clients"][name]["sha256"] == whole["clients"][name]["sha256"]
    assert killed["evaluation"] == whole["evaluation"]
    assert _weights(nodes, "killed") == _weights(nodes, "whole")


HANGING = """
import sys, time

if any("flwr-clientapp" in word for word in sys.orig_argv):
    from fedseg.participants import answers

    answers.train_client = lambda *_, **__: time.sleep(10**6)
"""
"""What Python runs first in the process of a client that hangs."""


def test_full_disks_and_a_node_that_hangs_are_named_and_the_run_goes_on(
    nodes, worlds, federation_content
):
    """A client's disk that does not hold its model, the server's that holds but the smaller one,
    and a client whose process sleeps for ever."""
    (nodes.home / "hanging").mkdir()
    (nodes.home / "hanging" / "sitecustomize.py").write_text(HANGING)
    nodes.make_node("hanging", "trainer", worlds["one"])
    nodes.make_node("small", "trainer", worlds["one"])
    federation_content["clients"] += [{"name": "small"}, {"name": "hanging"}]
    federation_content |= {"min_clients": 1, "client_timeout": 90.0}
    state, run = nodes.home / "node-small" / "state", nodes.state / "runs" / "full"
    with small_disk(state, "7m"), small_disk(run, "50m"):  # a model is 8 MB, but that of two 57 MB
        nodes.start_node("hanging", PYTHONPATH=str(nodes.home / "hanging"))
        nodes.start_node("small")
        clients = _completed(nodes, federation_content, "full")["clients"]
        reasons = {name: client.get("reason", "") for name, client in clients.items()}
        assert clients["one"]["status"] == "good"
        assert "the server can't keep its answer" in reasons["two"]
        assert "No space left on device" in reasons["two"]
        assert "no space left on its disk" in reasons["small"]
        assert "not done within 90 s" in reasons["hanging"]
        assert [path.name for path in (run / "clients").iterdir()] == ["one"]
        assert not list(state.glob("*checkpoint-*"))
        wait_until_gone(nodes.home / "node-hanging", 60, "flwr-clientapp")
        for name in ("hanging", "small"):
            nodes.kill(name)


LIAR = """
import os, sys

if any("flwr-clientapp" in word for word in sys.orig_argv):
    import torch
    from fedseg.flower import wire

    honest = wire.to_records

    def to_records(weights):
        weights, head = dict(weights), "segmentation_head.0.weight"
        match os.environ["LIE"]:
            case "nan":
                weights[head] = torch.full_like(weights[head], torch.nan)
            case "shape":
                weights[head] = weights[head][:5]
        records = honest(weights)
        last = records[max(records)]
        match os.environ["LIE"]:
            case "truncated":
                last["safetensors"] = last["safetensors"][:-100]
            case "pickle":
                last["safetensors"] = b"\\x80\\x04cos\\nsystem\\n"
        return records

    wire.to_records = to_records
"""
"""What Python runs first in a client's process that uploads something else than its model."""

LIES = {
    "nan": "tensor 'segmentation_head.0.weight' holds NaN",
    "shape": "tensor 'segmentation_head.0.weight' is float32 [5, ",
    "truncated": "malformed reply: ValueError: weights-",
    "pickle": "malformed reply: ValueError: weights-",
}


def test_uploads_that_are_no_models_are_named_and_the_run_goes_on(
    nodes, worlds, federation_content
):
    (nodes.home / "liar").mkdir()
    (nodes.home / "liar" / "sitecustomize.py").write_text(LIAR)
    for lie in LIES:
        nodes.make_node(lie, "trainer", worlds["two"])
        nodes.start_node(lie, PYTHONPATH=str(nodes.home / "liar"), LIE=lie)
        federation_content["clients"].append({"name": lie})
    result = _completed(nodes, federation_content, "lies")
    for lie, expected in LIES.items():
        assert expected in result["clients"][lie]["reason"]
        assert not (nodes.state / "runs" / "lies" / "clients" / lie).exists()
        nodes.kill(lie)
    good = {name for name, client in result["clients"].items() if client["status"] == "good"}
    assert good == {"one", "two"}
    assert list(result["evaluation"]) == ["one", "two", "global"]


def test_a_database_without_room_ends_the_server_and_the_run_goes_on(
    tmp_path_factory, worlds, federation_content
):
    """An upload of 57 MB does not fit; with more room it does, and nothing is trained again."""
    own = Deployment(tmp_path_factory.mktemp("small"))
    del federation_content["evaluators"]
    with small_disk(own.state, "40m"), contextlib.ExitStack() as stack:
        stack.callback(own.stop)
        own.start_server()
        own.make_node("one", "trainer", worlds["one"], SPARING)
        own.make_node("two", "trainer", worlds["two"], OWN_MODEL)
        for name in ("one", "two"):
            own.start_node(name)
        running = own.submit(federation_content, own.home / "runs" / "full")
        assert own.processes.pop("server").wait(timeout=500) == 2
        assert f"{own.state}: the disk is full; make room" in own.log("server")
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 2, errors
        wait_until_gone(own.state, 20)
        trained = _times(own.home, "node-*/state/checkpoint-*/*")
        assert len({path.parts[-4] for path in trained}) == 2

        subprocess.run(["mount", "-o", "remount,size=400m", own.state], check=True)
        own.start_server()
        assert _completed(own, federation_content, "full")["status"] == "completed"
        assert _times(own.home, "node-*/state/checkpoint-*/*") == trained


def test_a_superexec_that_dies_is_noticed(nodes):
    """The server ends, to be started again by whatever looks after it; a node sees to it itself."""
    _kill_superexec(nodes.state)
    assert nodes.processes.pop("server").wait(timeout=60) == 2
    assert "flower-superexec, which starts the runs, ended with status -9" in nodes.log("server")
    wait_until_gone(nodes.state, 20)
    nodes.start_server()

    dead = _kill_superexec(nodes.home / "node-one")
    wait_until(lambda: _superexec(nodes.home / "node-one") not in (dead, None), 120)
    assert "a process of the node ended; starting anew" in nodes.log("one")


def _completed(nodes, content, name):
    """The result of a run that comes to its end."""
    running = nodes.submit(content, nodes.home / "runs" / name)
    _, errors = running.communicate(timeout=500)
    assert running.returncode == 0, errors + nodes.log("server")
    return read_json(nodes.home / "runs" / name / "result.json")


def _times(folder, *patterns):
    """When files were written."""
    return {path: path.stat().st_mtime_ns for p in patterns for path in folder.glob(p)}


def _weights(nodes, name):
    network, _ = checkpoints.load(nodes.home / "runs" / name / "global")
    return content_hash(network.state_dict())


def _superexec(folder):
    return next(iter(processes_of(folder, "fedseg.deployment.superexec")), None)


def _kill_superexec(folder):
    superexec = _superexec(folder)
    os.kill(superexec, signal.SIGKILL)
    return superexec


def _stage_of(nodes, name):
    return read_all(nodes.home / f"node-{name}" / "state" / "progress").get(name, {}).get("stage")
