"""Owners that do not trust each other: hostile nodes and servers, as real processes with TLS."""

import contextlib
import json
import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import time

import httpx
import pytest
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree
from flwr.proto.node_pb2 import Node

from fedseg.deployment.authority import trusting
from fedseg.deployment.control import Server
from fedseg.deployment.identity import load_key
from fedseg.deployment.signing import sign_app
from fedseg.errors import FedsegError
from fedseg.files import read_json, write_json
from fedseg.flower.internals import FleetClient
from fedseg.run.progress import read_all
from fedseg.storage.audit import read_audit
from tests.deployment.test_failures import _completed
from tests.processes import processes_of, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOSTILE = '''
import os, sys, time

kind = os.environ.get("ATTACK")
if kind and "verified_supernode" in " ".join(sys.orig_argv):
    from flwr.supernode import start_client_internal as supernode
    from flwr.supernode.fleet_http_client import FleetHttpClient

    push = FleetHttpClient.PushObject
    pushed = 0

    def push_object(self, request):
        """Announce an upload, and send none or a third of it."""
        global pushed
        pushed += len(request.object_content)
        if pushed > (2_500_000 if kind == "third" else 20_000):
            time.sleep(10**6)
        return push(self, request)

    FleetHttpClient.PushObject = push_object
'''
"""What Python runs first in a hostile node's processes."""


def test_an_upload_that_is_announced_and_never_sent_keeps_nobody_waiting(
    nodes, worlds, federation_content
):
    (nodes.home / "hostile").mkdir()
    (nodes.home / "hostile" / "sitecustomize.py").write_text(HOSTILE)
    for name in ("none", "third"):
        nodes.make_node(name, "trainer", worlds["two"])
        nodes.start_node(name, PYTHONPATH=str(nodes.home / "hostile"), ATTACK=name)
        federation_content["clients"].insert(0, {"name": name})
    federation_content["client_timeout"] = 200.0
    running = nodes.submit(federation_content, nodes.home / "runs" / "announced")
    run = nodes.state / "runs" / "announced"
    started = time.monotonic()
    wait_until(lambda: (run / "clients" / "two" / "client.json").is_file(), 150)
    wait_until(lambda: (run / "clients" / "one" / "client.json").is_file(), 150)
    assert time.monotonic() - started < 150  # the honest did not wait for the others' deadline
    _, errors = running.communicate(timeout=500)
    assert running.returncode == 0, errors
    result = read_json(nodes.home / "runs" / "announced" / "result.json")
    for name in ("none", "third"):
        assert result["clients"][name]["reason"] == "no answer within 200 s"
        nodes.kill(name)
    assert {n for n, c in result["clients"].items() if c["status"] == "good"} == {"one", "two"}
    assert not list(run.glob(".fedseg-*"))  # pieces of what never came

    events = [(e["event"], e.get("name")) for e in read_audit(run / "audit.jsonl")]
    assert ("upload accepted", "one") in events
    assert ("answer refused or missing", "third") in events
    made = [e for e in read_audit(run / "audit.jsonl") if e["event"] == "global model made"]
    assert set(made[0]["clients"]) == {"one", "two"}
    admitted = [e["name"] for e in read_audit(nodes.state / "audit.jsonl")]
    assert {"one", "two", "city", "none", "third"} <= set(admitted)


def test_a_run_that_has_ended_frees_its_nodes(nodes, federation_content):
    """Node two is still training for a run that is over when the next one asks for it."""
    del federation_content["evaluators"]
    federation_content |= {"min_clients": 1, "client_timeout": 40.0}
    federation_content["clients"][1]["training"] = {"iterations": 1_000_000}
    first = _completed(nodes, federation_content, "too-long")
    assert first["clients"]["two"]["status"] == "failed"
    federation_content["clients"][1]["training"] = {"iterations": 3}
    federation_content["client_timeout"] = 150.0
    second = _completed(nodes, federation_content, "next")
    assert second["clients"]["two"]["status"] == "good"


def test_the_admin_port_obeys_its_owner_only(nodes, tmp_path):
    url, ca = f"https://localhost:{nodes.admin_port}", nodes.certs / "ca.crt"
    for path in ("/v1/control/list-runs", "/v1/control/register-node", "/fedseg/runs/next"):
        for headers in ({}, {"authorization": "Bearer x"}):
            response = httpx.post(url + path, verify=trusting(ca), headers=headers)
            assert response.status_code == 401, path
    shutil.copy(ca, tmp_path)
    wrong = tmp_path / "admin.token"
    wrong.write_text("x" * 43)
    wrong.chmod(0o600)
    with pytest.raises(FedsegError, match="refuses the token"):
        Server(f"localhost:{nodes.admin_port}", tmp_path).nodes()
    shutil.copy(nodes.certs / "admin.token", wrong)
    wrong.chmod(0o644)
    with pytest.raises(FedsegError, match="others can read it"):
        Server(f"localhost:{nodes.admin_port}", tmp_path)
    # A local user who plays SuperExec gets no tasks.
    pull = f"{url}/v1/runtime/claim-task"
    response = httpx.post(
        pull, verify=trusting(ca), headers={"content-type": "application/protobuf"}
    )
    assert response.status_code in (401, 403, 404, 422)


def test_a_registered_node_instructs_no_other_and_stops_nobody(nodes, worlds):
    folder = nodes.make_node("hostile", "trainer", worlds["two"])
    wait_until(lambda: {"one", "two", "city"} <= _online(nodes), 120)
    ids = {name: node for name, (node, _) in nodes.server.nodes().items()}
    tls = trusting(nodes.certs / "ca.crt")
    client = FleetClient(f"localhost:{nodes.port}", tls, load_key(folder))._client

    def announce(objects, **metadata):
        tree = ObjectTree(object_id="0" * 64)
        tree.children.add(object_id="1" * 64)
        for number in range(objects):
            tree.children[0].children.add(object_id=f"{number + 2:064x}")
        known = {"run_id": 1, "message_id": "0" * 64, "message_type": "train"}
        known |= {"ttl": 100.0, "created_at": time.time(), "src_node_id": ids["hostile"]}
        message = Message(metadata=Metadata(**known | metadata))
        message.content.SetInParent()
        node = Node(node_id=ids["hostile"])
        request = PushMessagesRequest(node=node, messages_list=[message])
        request.message_object_trees.append(tree)
        request.clientapp_runtime_list.append(0.0)
        with pytest.raises(httpx.HTTPStatusError) as error:
            client.PushMessages(request)
        return error.value.response.status_code

    for target in ("one", "city"):
        for source in (ids["hostile"], ids[target], 1):
            assert announce(1, dst_node_id=ids[target], src_node_id=source) == 403
            assert announce(1, dst_node_id=1, src_node_id=source) == 403
    started = time.monotonic()
    for _ in range(3):
        assert announce(30_000, dst_node_id=1, reply_to_message_id="2" * 64) == 413
        assert announce(1_500, dst_node_id=1, reply_to_message_id="2" * 64) == 403
    assert time.monotonic() - started < 10
    assert {"one", "two", "city"} <= _online(nodes)


def test_idle_connections_keep_no_node_out(nodes):
    """1200 of one address, which is the nodes' too; encrypted ones, and such as never will be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    tls = trusting(nodes.certs / "ca.crt")
    wait_until(lambda: {"one", "two", "city"} <= _online(nodes), 120)
    probe = FleetClient(f"localhost:{nodes.port}", tls, load_key(nodes.home / "node-one"))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for index in range(1200):
            raw = socket.create_connection(("localhost", nodes.port), timeout=20)
            if index % 3:
                with contextlib.suppress(OSError):  # it may have given way already
                    raw = tls.wrap_socket(raw, server_hostname="localhost")
            stack.enter_context(raw)
            if index % 100 == 99:
                started = time.monotonic()
                assert probe.probe() is not None
                assert time.monotonic() - started < 5
        time.sleep(3)
        other = FleetClient(f"localhost:{nodes.port}", tls, load_key(nodes.home / "node-two"))
        assert other.probe() is not None
        assert {"one", "two", "city"} <= _online(nodes)


def _online(nodes):
    return {name for name, (_, state) in nodes.server.nodes().items() if state == "online"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_sees_no_secret(nodes, federation_content):
    """In the command lines and environments of all these processes, while a run goes on."""
    running = nodes.submit(federation_content, nodes.home / "runs" / "watched")
    seen = {"cmdline": b"", "environ": b""}
    while running.poll() is None:
        for kind in seen:
            files = [f"/proc/{process}/{kind}" for process in processes_of(nodes.home)]
            seen[kind] += subprocess.run(
                ["cat", *files], capture_output=True, cwd="/", user=65534, group=65534, check=False
            ).stdout
        time.sleep(0.2)
    assert running.returncode == 0, running.communicate()[1]
    words = seen["cmdline"].decode(errors="replace").split("\0")
    for app in ("flwr-serverapp", "flwr-clientapp", "fedseg.deployment.superexec"):
        assert any(word.endswith(app) for word in words), app
    assert "--token-file" in words
    assert "--token" not in words
    assert not [word for word in words if re.search(r"[0-9a-f]{32}", word)]  # Flower's tokens
    assert (nodes.certs / "admin.token").read_bytes().strip() not in seen["cmdline"]
    assert seen["environ"] == b""


def test_what_the_server_keeps_is_its_owners_alone(nodes):
    for path in ("superlink.db", "quota.db", "audit.jsonl", "superexec.secret"):
        assert stat.S_IMODE((nodes.state / path).stat().st_mode) == 0o600, path
    assert stat.S_IMODE((nodes.certs / "admin.token").stat().st_mode) == 0o600
    assert stat.S_IMODE((nodes.state / "runs").stat().st_mode) == 0o700


def test_an_older_signed_app_is_refused(nodes, federation_content):
    """The node ran an app that was signed later; the server sends one that was replaced since."""
    serial = nodes.home / "node-one" / "state" / "app.json"
    signed_at = read_json(serial)["signed_at"]
    app = read_json(nodes.certs / "app.signed")
    record = next(json.loads(v) for k, v in app["verifications"].items() if k != "valid_license")
    assert record["signed_at"] == signed_at
    write_json(serial, {"signed_at": signed_at + 1})
    del federation_content["evaluators"]
    federation_content["min_clients"] = 1
    result = _completed(nodes, federation_content, "replayed")
    assert result["clients"]["one"]["status"] == "failed"
    assert result["clients"]["two"]["status"] == "good"
    write_json(serial, {"signed_at": signed_at})
    time.sleep(1)
    sign_app(nodes.certs)


def test_a_node_goes_on_after_all_of_this(nodes, federation_content):
    result = _completed(nodes, federation_content, "after")
    assert [c["status"] for c in result["clients"].values()] == ["good", "good"]
    assert set(result["evaluation"]["global"]) == {"held-out", "city"}
    for name in ("one", "two", "city"):
        assert processes_of(nodes.home / f"node-{name}", "fedseg.deployment.superexec")
        entries = list(read_audit(nodes.home / f"node-{name}" / "state" / "audit.jsonl"))
        sent = {"city": "confusion matrix sent"}.get(name, "model sent")
        assert entries[-1]["event"] == sent
    assert read_all(nodes.state / "runs" / "after" / "progress")
