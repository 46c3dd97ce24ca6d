"""What fedseg uses of Flower's private parts works with the Flower that is installed.

Each test drives one part against Flower itself, so that it fails if an upgrade changes that part.
"""

import ast
import base64
import datetime
import hashlib
import importlib
import json
import re
import sys
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.proto.control_pb2 import RegisterNodeRequest, UnregisterNodeRequest
from flwr.proto.message_pb2 import PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from flwr.supernode import start_client_internal
from starlette.datastructures import Headers

from fedseg.deployment import signing
from fedseg.deployment.authority import trusting
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.keys import openssh
from fedseg.files import app_dir
from fedseg.flower import internals
from fedseg.flower.supervisor import free_port, quiet_environment
from tests.deployment.serving import serving
from tests.processes import wait_until

ROOT = Path(__file__).parents[2]
PUBLIC = {"flwr", "flwr.app", "flwr.clientapp", "flwr.serverapp", "flwr.serverapp.strategy"}


@pytest.mark.parametrize("package", ["fedseg", "clients", "server"])
def test_nothing_else_imports_flowers_private_parts(package):
    for path in ROOT.joinpath(package).rglob("*.py"):
        if path.name == "internals.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            private = {n for n in names if n.split(".")[0] == "flwr" and n not in PUBLIC}
            assert not private, f"{path}:{node.lineno}"


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    make_certificates(folder, ["localhost"])
    signing.sign_app(folder)
    return folder


@pytest.fixture
def superlink(certs, tmp_path, monkeypatch):
    for name, value in quiet_environment(tmp_path / "flower").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", sys.argv)
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    return internals.SuperLink.create(
        "127.0.0.1",
        free_port(),
        tls=[certs / name for name in ("ca.crt", "server.crt", "server.key")],
        database=tmp_path / "superlink.db",
        secret=secret,
    )


@pytest.fixture
def tls(certs):
    return trusting(certs / "ca.crt")


class Recorder:
    """An application that notes path and headers of each request to another one."""

    def __init__(self, app):
        self.app = app
        self.requests = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.requests.append((scope["path"], Headers(scope=scope)))
        await self.app(scope, receive, send)


@pytest.fixture
def served(superlink, certs):
    """A SuperLink that listens; the requests that reach it."""
    recorder = Recorder(superlink.app)
    with serving(recorder, certs, timeout_graceful_shutdown=1) as port:
        recorder.address = f"localhost:{port}"
        yield recorder


def test_an_owner_registers_nodes_and_starts_runs(superlink, served, certs, tls):
    superlink.store_app(signing.read_signed(certs / "app.signed"), signing.APP_ID)
    owner = internals.ControlClient(served.address, tls, "Bearer secret")
    key = ec.generate_private_key(ec.SECP384R1())
    public_key = internals.public_key_to_bytes(key.public_key())
    assert superlink.node_id(public_key) is None
    owner.register_node("metro", public_key)
    assert served.requests[-1][1]["Authorization"] == "Bearer secret"
    assert served.requests[-1][0] == internals.REGISTER
    node_id, status = owner.nodes()["metro"]
    assert status == "registered"
    assert superlink.node_id(public_key) == node_id

    run = owner.start_run(signing.APP_ID, {"out": "a"})
    assert owner.active_runs()[run]["out"] == "a"
    superlink.end_orphans()
    assert owner.active_runs() == {}

    owner.unregister_node(node_id)
    assert served.requests[-1][0] == internals.UNREGISTER
    assert owner.nodes() == {}
    assert superlink.node_id(public_key) is None


def test_an_app_that_is_not_stored_starts_no_run(served, tls):
    with pytest.raises(KeyError):
        internals.ControlClient(served.address, tls, "Bearer secret").start_run("@fedseg/other", {})


def test_a_node_probes_its_registration_and_stays_inactive(superlink, served, tls):
    owner = internals.ControlClient(served.address, tls, "Bearer secret")
    key = ec.generate_private_key(ec.SECP384R1())
    node = internals.FleetClient(served.address, tls, key)
    assert node.probe().code == internals.UNKNOWN_NODE
    owner.register_node("metro", internals.public_key_to_bytes(key.public_key()))
    assert node.probe().code == internals.KNOWN_NODE
    assert served.requests[-1][0].startswith(internals.FLEET)
    assert owner.nodes()["metro"][1] == "registered"  # not "online"


def test_a_run_that_a_node_may_not_see_is_not_taken_to_have_ended(served, tls):
    key = ec.generate_private_key(ec.SECP384R1())
    internals.ControlClient(served.address, tls, "Bearer secret").register_node(
        "metro", internals.public_key_to_bytes(key.public_key())
    )
    assert not internals.FleetClient(served.address, tls, key).run_has_ended(1, 2)


def test_a_refusal_carries_flowers_code_and_message():
    assert internals.refusal(httpx.Response(502, text="<html>")) == (502, None, None)
    error = {"code": 17, "detail": "what", "extra": "why"}
    found = internals.refusal(httpx.Response(409, text=json.dumps(error)))
    assert found == (409, 17, "what why")


class TestSigner:
    @pytest.fixture
    def key(self):
        return ec.generate_private_key(ec.SECP384R1())

    @pytest.fixture
    def headers(self, key, served, tls):
        internals.FleetClient(served.address, tls, key).probe()
        return dict(served.requests[-1][1])

    def test_is_the_key_of_flowers_own_node(self, key, headers):
        assert internals.signer(headers) == internals.public_key_to_bytes(key.public_key())

    @pytest.mark.parametrize("minutes", [-60, 60])
    def test_an_old_or_a_future_signature_does_not_count(self, headers, minutes, monkeypatch):
        moment = internals.now() + datetime.timedelta(minutes=minutes)
        monkeypatch.setattr(internals, "now", lambda: moment)
        with pytest.raises(ValueError, match="too long ago"):
            internals.signer(headers)

    def test_the_signature_of_another_key_does_not_count(self, headers):
        other = ec.generate_private_key(ec.SECP384R1()).public_key()
        headers[internals.FLEET_HTTP_PUBLIC_KEY_HEADER] = base64.b64encode(
            internals.public_key_to_bytes(other)
        ).decode()
        with pytest.raises(ValueError, match="another key"):
            internals.signer(headers)

    @pytest.mark.parametrize("value", ["", "nonsense", "bm9uc2Vuc2U=", "ö"])
    @pytest.mark.parametrize("name", ["PUBLIC_KEY", "SIGNATURE"])
    def test_what_is_no_signature_does_not_count(self, headers, name, value):
        header = getattr(internals, f"FLEET_HTTP_{name}_HEADER")
        with pytest.raises(ValueError):  # noqa: PT011
            internals.signer(headers | {header: value})

    def test_a_request_without_a_signature_does_not_count(self):
        with pytest.raises(ValueError, match="no signature"):
            internals.signer({})


def test_requests_are_read_as_flower_writes_them():
    registration = RegisterNodeRequest(public_key=b"key", name="metro").SerializeToString()
    assert internals.registered_node(registration) == ("metro", b"key")
    removal = UnregisterNodeRequest(node_id=7).SerializeToString()
    assert internals.unregistered_node(removal) == 7
    pushed = PushObjectRequest(node=Node(node_id=3), run_id=9, object_id="a" * 64)
    request = internals.NodeRequest(internals.PUSH_OBJECT, pushed.SerializeToString())
    assert (request.run_id, request.object_id) == (9, "a" * 64)
    assert request.is_from(3, b"key")
    assert not request.is_from(4, b"key")
    assert not request.is_in_session


@pytest.mark.parametrize("path", internals.FLEET_REQUESTS)
def test_a_body_that_is_no_nodes_request_is_a_value_error(path):
    with pytest.raises(ValueError):  # noqa: PT011
        internals.NodeRequest(path, b"\xff\xff")


def test_every_request_of_a_node_is_one_that_flower_knows():
    """Of these, the port passes on all but those by which nodes register themselves."""
    known = {p: kind for (_, p), kind in PROTOBUF_REQUEST_TYPES.items() if "/fleet/" in p}
    others = known.keys() - internals.FLEET_REQUESTS.keys()
    assert others == {"/v1/fleet/register-node", "/v1/fleet/unregister-node"}
    assert known | internals.FLEET_REQUESTS == known


def test_a_token_is_handed_over_where_nobody_else_sees_it(tmp_path):
    """As Flower's SuperExec starts an app, but the app is one that shows what it was given."""
    shown = tmp_path / "shown"
    app = f"cat $3 > {shown}; echo >> {shown}; tr '\\0' ' ' < /proc/$$/cmdline >> {shown}"
    internals._HidingTokens.Popen(["sh", "-c", app, "app", "x", "--token", "5ecret"])
    wait_until(lambda: shown.is_file() and "/dev/fd/" in shown.read_text(), 10)
    token, line = shown.read_text().split("\n")
    assert token == "5ecret"
    assert "5ecret" not in line


@pytest.mark.parametrize("read", ["registered_node", "unregistered_node"])
def test_a_body_that_is_no_request_is_a_value_error(read):
    with pytest.raises(ValueError):  # noqa: PT011
        getattr(internals, read)(b"\xff\xff")


@pytest.mark.parametrize("path", ["PUSH_OBJECT", "REGISTER", "UNREGISTER", "HEALTH"])
def test_flower_serves_the_path(served, tls, path):
    method = "GET" if path == "HEALTH" else "POST"
    url = f"https://{served.address}{getattr(internals, path)}"
    assert httpx.request(method, url, verify=tls).status_code not in (404, 405)


def test_the_app_is_built_and_its_signature_is_the_one_that_flower_checks():
    content = internals.build_app(app_dir())
    assert content[:2] == b"PK"
    digest = hashlib.sha256(content).digest()
    key = Ed25519PrivateKey.generate()
    signature = base64.urlsafe_b64encode(key.sign(internals.app_to_sign(digest, 5))).rstrip(b"=")
    record = json.dumps({"signature": signature.decode(), "signed_at": 5})
    name = signing.key_id(key.public_key())
    app = internals.App(digest.hex(), content, {name: record, "valid_license": "Valid"})
    assert internals.is_signed(app, {name: openssh(key.public_key()).decode()})
    app.content += b"\0"
    assert not internals.is_signed(app, {name: openssh(key.public_key()).decode()})


def test_the_supernode_gets_its_options_and_asks_for_the_apps_trust(monkeypatch, tmp_path):
    """Flower's own command is run, but it starts no server and connects to none."""
    for name, value in quiet_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    cli = importlib.import_module("flwr.supernode.cli.flower_supernode")

    def is_trusted(app, trusted):
        return False

    seen = []
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(start_client_internal, "_verify_fab", internals.is_signed)
    monkeypatch.setattr(cli, "_start_supernode_http_api", lambda *_: (None, None))
    monkeypatch.setattr(cli, "add_exit_handler", lambda _: None)
    monkeypatch.setattr(cli, "start_client_internal", lambda **options: seen.append(options))
    internals.run_supernode(
        ["--insecure", "--superlink", "localhost:1", "--isolation", "process"], is_trusted
    )
    assert re.search("localhost:1", str(seen[0]))
    assert start_client_internal._verify_fab is is_trusted
    source = Path(start_client_internal.__file__).read_text()
    assert "_verify_fab(" in source.replace("def _verify_fab(", "")  # looked up when it is called
