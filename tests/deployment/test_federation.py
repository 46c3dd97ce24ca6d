"""A federation over real processes, with TLS and node authentication."""

import subprocess

import httpx
import pytest

from fedseg.config import Evaluator
from fedseg.data.dataset import open_dataset
from fedseg.deployment.authority import trusting
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.check import check_node
from fedseg.evaluation.evaluate import evaluate
from fedseg.files import read_json
from fedseg.models import checkpoints
from tests.deployment.conftest import FEDSEG
from tests.processes import wait_until

pytestmark = pytest.mark.e2e


def test_a_whole_federation(nodes, federation_content, worlds):
    federation_content["clients"].append({"name": "wary"})
    out = nodes.home / "runs" / "first"
    running = nodes.submit(federation_content, out)
    wait_until(lambda: nodes.server.active_runs(), 60, lambda: str(running.poll()))
    refused = nodes.submit(federation_content, nodes.home / "runs" / "second")
    assert "the server is busy with run" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 2

    printed, errors = running.communicate(timeout=400)
    assert running.returncode == 0, errors + nodes.log("server")
    result = read_json(out / "result.json")
    assert result["status"] == "completed"
    clients = result["clients"]
    assert {name: client["status"] for name, client in clients.items()} == {
        "one": "good", "two": "good", "wary": "failed"
    }  # fmt: skip
    assert "could not be verified" in clients["wary"]["reason"]
    assert "one: answered" in errors  # progress by client
    assert "global" in printed
    # Each node went by its own file as well as by the server's.
    assert (clients["one"]["arch"], clients["one"]["iterations"]) == ("fpn", 2)
    assert (clients["two"]["arch"], clients["two"]["iterations"]) == ("unet", 3)
    # What was fetched is a model that scores at home as its evaluator reported.
    city = Evaluator(name="city", dataset="folder", root=worlds["city"])
    here = evaluate(*checkpoints.load(out / "global"), open_dataset(city))
    assert result["evaluation"]["global"]["city"]["miou"] == here.miou
    # The report was made on the server, which knows nothing of how the clients' trainings went.
    assert "could not be verified" in (out / "report.html").read_text()
    assert [path.name for path in (nodes.state / "runs" / "first" / "curves").iterdir()] == [
        "global.json"
    ]
    assert str(worlds["one"]) not in (nodes.state / "runs" / "first" / "config.toml").read_text()


def test_everything_is_right_with_a_node_that_takes_part(nodes):
    lines = list(check_node(nodes.home / "node-one"))
    assert all(line.is_good for line in lines), lines
    assert {line.what for line in lines} >= {"data", "server", "registration", "trust"}


def test_a_node_of_another_key_is_refused(nodes, worlds):
    folder = nodes.make_node("late", "trainer", worlds["one"])
    nodes.server.remove_node("late")
    assert "does not know its key" in _failed(folder)


def test_a_server_of_another_authority_is_refused(nodes, worlds):
    folder = nodes.make_node("strict", "trainer", worlds["one"])
    make_certificates(nodes.home / "other", ["localhost"])
    (folder / "ca.crt").write_bytes((nodes.home / "other" / "ca.crt").read_bytes())
    assert "is of another authority" in _failed(folder)


def _failed(folder):
    """What a node that does not start says; `fedseg deploy node --check` must say the same."""
    started = subprocess.run(
        [FEDSEG, "deploy", "node", folder], capture_output=True, text=True, timeout=120, check=False
    )
    assert started.returncode == 2
    bad = [line for line in check_node(folder) if not line.is_good]
    assert len(bad) == 1
    assert bad[0].found in started.stderr
    return started.stderr


@pytest.mark.parametrize(
    "path", ["/v1/control/start-run", "/v1/control/register-node", "/v1/runtime/acquire-task",
             "/fedseg/runs/first", "/v1/fleet/../control/list-runs", "/docs"]
)  # fmt: skip
def test_the_nodes_port_is_for_nodes_only(nodes, path):
    context = trusting(nodes.certs / "ca.crt")
    with httpx.Client(verify=context, base_url=f"https://localhost:{nodes.port}") as client:
        assert client.post(path).status_code == 403


def test_without_a_nodes_signature_nothing_is_told(nodes):
    url = f"https://localhost:{nodes.port}/v1/fleet/pull-messages"
    headers = {"content-type": "application/protobuf"}
    reply = httpx.post(url, headers=headers, content=b"", verify=trusting(nodes.certs / "ca.crt"))
    assert reply.status_code == 401
