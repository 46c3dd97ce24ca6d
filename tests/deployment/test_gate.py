"""The port that nodes reach, attacked over real connections."""

import asyncio
import base64
import contextlib
import datetime
import socket
import ssl
import threading
import time

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.proto.message_pb2 import PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER as PUBLIC_KEY
from flwr.supercore.constant import FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from fedseg.deployment import admission, gate
from fedseg.deployment.authority import trusting
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.quota import UploadQuota
from tests.deployment.serving import serving

KNOWN, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
MAX_UPLOAD = 20 * 2**20
NODE, RUN = 7, 1
PULL = PullMessagesRequest(node=Node(node_id=NODE)).SerializeToString()


def signed(key=KNOWN, age=0.0, signature=None, timestamp=None):
    """The headers that Flower's nodes send."""
    when = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age)
    timestamp = timestamp or when.isoformat()
    signature = signature or sign_message(key, timestamp.encode())
    return {
        PUBLIC_KEY: base64.b64encode(public_key_to_bytes(key.public_key())).decode(),
        FLEET_HTTP_SIGNATURE_HEADER: base64.b64encode(signature).decode(),
        "flwr-timestamp": timestamp,
    }


class Application:
    """In Flower's place: notes how large the bodies are that reach it."""

    def __init__(self):
        self.bodies = []
        self.seconds = 0.0

    async def __call__(self, scope, receive, send):
        body = await Request(scope, receive).body()
        self.bodies.append((scope["path"], len(body)))
        await asyncio.sleep(self.seconds)
        await PlainTextResponse("answer")(scope, receive, send)


class OneNode:
    """In the place of Flower's records: one node is registered, and was asked in one run."""

    def node_id(self, public_key):
        return NODE if public_key == public_key_to_bytes(KNOWN.public_key()) else None

    def has_part(self, node_id, run_id, object_id=None):
        return (node_id, run_id) == (NODE, RUN)


@pytest.fixture
def door(tmp_path, monkeypatch):
    """The gate before an application, over TLS: its address, and what reached the application."""
    if admission.MOST_OF_ADDRESS > 8:  # not `few_places`
        monkeypatch.setattr(admission, "HEADER_SECONDS", 1.0)
    monkeypatch.setattr(gate, "BODY_SECONDS", 2.0)
    make_certificates(tmp_path, ["localhost"])
    application = Application()
    quota = UploadQuota(tmp_path / "quota.db", lambda runs: [])
    quota.open(NODE, RUN)
    door = gate.Gate(application, OneNode(), quota, MAX_UPLOAD)
    options = {"http": admission.Impatient, "ws": "none", "lifespan": "off"}
    with serving(door, tmp_path, **options) as port:
        application.port, application.tls = port, trusting(tmp_path / "ca.crt")
        yield application


def post(door, path="/v1/fleet/pull-messages", content=PULL, headers=None):
    return httpx.post(
        f"https://localhost:{door.port}{path}",
        content=content,
        headers=signed() if headers is None else headers,
        verify=door.tls,
        timeout=20,
    )


def push(door, content=b"x" * 5_000_000, **fields):
    """Push an object, as one that was announced."""
    known = {"run_id": RUN, "object_id": "a" * 64, "session_id": "s"}
    request = PushObjectRequest(node=Node(node_id=NODE), object_content=content, **known | fields)
    return post(door, "/v1/fleet/push-object", request.SerializeToString()).status_code


def connect(door):
    raw = socket.create_connection(("localhost", door.port), timeout=20)
    return door.tls.wrap_socket(raw, server_hostname="localhost")


def closed_after(connection):
    """Seconds until the other side closes a connection."""
    started = time.monotonic()
    try:
        while connection.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return time.monotonic() - started


def test_a_registered_nodes_request_is_passed_on(door):
    assert push(door, b"x" * 6_000_000) == 200
    assert post(door).text == "answer"
    (path, size), pulled = door.bodies
    assert path == "/v1/fleet/push-object"
    assert 6_000_000 < size < 6_000_200
    assert pulled == ("/v1/fleet/pull-messages", len(PULL))
    assert httpx.get(f"https://localhost:{door.port}/health", verify=door.tls).text == "answer"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (dict, 401),
        (lambda: signed(signature=b"0" * 70), 401),
        (lambda: signed(STRANGER) | {PUBLIC_KEY: signed()[PUBLIC_KEY]}, 401),
        (lambda: signed() | {PUBLIC_KEY: "no base64!"}, 401),
        (lambda: signed() | {PUBLIC_KEY: base64.b64encode(b"no key").decode()}, 401),
        (lambda: signed(timestamp="yesterday"), 401),
        (lambda: signed(timestamp="2026-11-26T12:00:00"), 401),
        (lambda: signed(STRANGER), 412),
    ],
)
def test_a_stranger_is_refused_before_the_body_is_read(door, headers, status):
    """Of a body that is announced and never comes, nothing is waited for."""
    with connect(door) as connection:
        lines = [f"{name}: {value}" for name, value in headers().items()]
        head = ["POST /v1/fleet/push-object HTTP/1.1", "Host: x", "Content-Length: 5000000", *lines]
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        assert f" {status} ".encode() in connection.recv(200)
        assert closed_after(connection) < 1
    assert door.bodies == []


def test_an_old_signature_is_refused(door):
    assert post(door, headers=signed(age=3600)).status_code == 401
    assert post(door, headers=signed(age=-3600)).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/runtime/push-object",
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/new-in-the-next-flower",
        "/v1/fleet/pull-messages/",
        "/v1/fleet//pull-messages",
        "/v1/fleet/pull-messages%3F",
        "/V1/fleet/pull-messages",
        "/fedseg/runs/a",
        "/docs",
    ],
)
def test_nothing_but_nodes_requests_is_passed_on(door, path):
    assert post(door, path).status_code == 403
    assert door.bodies == []


def test_a_body_that_is_too_large_is_refused(door):
    assert push(door, b"x" * gate.MOST_BYTES) == 413
    assert post(door, content=b"x" * (gate.MOST_SMALL_BYTES + 1)).status_code == 413
    assert post(door, "/v1/fleet/push-messages", b"x" * 70_000).status_code == 413

    def endless():
        while True:
            yield b"x" * 1_000_000

    with contextlib.suppress(httpx.WriteError, httpx.ReadError):  # closed while we wrote
        assert post(door, "/v1/fleet/push-object", endless()).status_code == 413
    assert door.bodies == []


def test_a_slow_body_is_given_up(door):
    with connect(door) as connection:
        lines = [f"{name}: {value}" for name, value in signed().items()]
        head = [
            "POST /v1/fleet/push-object HTTP/1.1",
            "Host: x",
            "Content-Length: 50",
            *lines,
            "",
            "",
        ]
        connection.sendall("\r\n".join([*head, "", ""]).encode() + b"x")
        started = time.monotonic()
        assert b" 408 " in connection.recv(200)
        assert 1.5 < time.monotonic() - started < 5
    assert door.bodies == []


def test_half_sent_headers_and_silent_connections_are_closed(door):
    with connect(door) as connection:
        connection.sendall(b"POST /v1/fleet/push-object HTTP/1.1\r\nHost: x\r\n")
        assert closed_after(connection) < 3
    with connect(door) as connection:
        assert closed_after(connection) < 3
    with connect(door) as connection:  # a second request's headers, on a connection that is in use
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in connection.recv(2000)
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        assert closed_after(connection) < 3


def test_connections_that_are_never_encrypted_are_closed(door):
    with socket.create_connection(("localhost", door.port), timeout=20) as connection:
        assert closed_after(connection) < 3


@pytest.fixture
def few_places(monkeypatch):
    """Places are few; ask for it before `door`."""
    monkeypatch.setattr(admission, "HEADER_SECONDS", 30.0)
    for name, places in (
        *(("MOST_STRANGERS", 12), ("MOST_OF_ADDRESS", 8)),
        *(("MOST_OF_NODES", 12), ("MOST_OF_NODE", 8)),
    ):
        monkeypatch.setattr(admission, name, places)


@pytest.mark.parametrize("encrypted", [True, False])
def test_idle_connections_of_an_address_do_not_keep_its_nodes_out(few_places, door, encrypted):
    """Nodes behind the same router: one that is connected, and those that come."""
    address = ("localhost", door.port)
    with httpx.Client(verify=door.tls, headers=signed()) as node, contextlib.ExitStack() as stack:
        url = f"https://localhost:{door.port}/v1/fleet/pull-messages"
        assert node.post(url, content=PULL).status_code == 200
        before = node._transport._pool.connections[0]
        idle = [connect(door) if encrypted else socket.create_connection(address) for _ in range(8)]
        idle += [
            connect(door) if encrypted else socket.create_connection(address) for _ in range(8)
        ]
        for connection in idle:
            stack.enter_context(connection)
        assert post(door).status_code == 200  # a new connection has a place
        assert node.post(url, content=PULL).status_code == 200
        assert node._transport._pool.connections == [before]  # its old one was kept
        for connection in idle[:8]:  # they gave way
            assert closed_after(connection) < 1


def test_slow_senders_do_not_keep_others_out(few_places, door):
    """As many as there may be connections, each sending a byte now and then."""
    slow = [connect(door) for _ in range(8)]
    for connection in slow:
        connection.sendall(b"POST /v1/fleet/push-object HTTP/1.1\r\nHost")
    assert post(door).status_code == 200
    for connection in slow:
        connection.close()


def test_a_node_keeps_no_other_out(few_places, door):
    """A node with more connections than it may have loses its own, and so it does all together."""
    taken = {1: [], 2: [], 3: []}
    connections = admission.PortConnections()
    for node, number in ((1, 10), (2, 3), (3, 3)):
        for _ in range(number):
            connection = Connection()
            admission.Connection(connections, connection).recognise(node)
            taken[node].append(connection)
    assert [c.closed for c in taken[1]] == [True] * 4 + [False] * 6
    assert not any(c.closed for c in taken[2] + taken[3])


class Connection:
    """In the place of a transport."""

    closed = False

    def __init__(self, address="192.0.2.1"):
        self.address = address

    def get_extra_info(self, _):
        return (self.address, 1)

    def is_closing(self):
        return self.closed

    def abort(self):
        self.closed = True


def test_many_addresses_do_not_keep_another_out(few_places):
    """The oldest of whoever has most gives way; a network of IPv6 is one address."""
    connections = admission.PortConnections()
    crowd = [Connection(f"2001:db8::{index}") for index in range(8)]
    others = [Connection(f"192.0.2.{index}") for index in range(5)]
    for connection in crowd + others:
        admission.Connection(connections, connection)
    assert [c.closed for c in crowd] == [True] + [False] * 7
    assert not any(c.closed for c in others)


def test_places_are_given_back(few_places):
    connections = admission.PortConnections()
    for _ in range(20):
        place = admission.Connection(connections, Connection())
        place.leave()
        place = admission.Connection(connections, Connection())
        place.recognise(1)
        place.leave()
    assert not connections.strangers._taken
    assert not connections.nodes._taken


def test_one_node_does_not_ask_for_everything_at_once(door, monkeypatch):
    monkeypatch.setattr(gate, "MOST_AT_ONCE", 2)
    door.seconds = 1.0
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(post(door).status_code)) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 200, 503, 503, 503]  # Flower's nodes try a 503 again
    door.seconds = 0.0
    assert post(door).status_code == 200


def test_one_node_does_not_push_more_than_it_may_in_a_run(door):
    assert [push(door) for _ in range(6)] == [200, 200, 200, 200, 413, 413]
    assert push(door, run_id=2) == 403  # no run of this node's, and not counted anywhere
    assert push(door, session_id="") == 403
    assert post(door, "/v1/fleet/push-object", b"\xff\xff").status_code == 400
