"""What a node is told of a server that it can't talk to, with real servers."""

import re
import socket
import threading
from contextlib import contextmanager

import httpx
import pytest
from starlette.responses import PlainTextResponse

from fedseg.deployment.authority import trusting
from fedseg.deployment.connection import Unreachable, check_server, unreachable
from fedseg.errors import FedsegError
from fedseg.flower.supervisor import free_port
from fedseg.participants.node import Node
from tests.deployment.issuing import Issued
from tests.deployment.serving import serving

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"


def told(folder, port, host="localhost"):
    node = Node(name="one", role="trainer", dataset="folder", server=f"{host}:{port}")
    with pytest.raises(FedsegError) as caught:
        check_server(node, folder)
    assert "\n" not in str(caught.value)
    return caught.value


@contextmanager
def answering(reply):
    """A plain server that sends bytes to whoever connects, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({"since": 3}, rf"is not valid before {TIME}, and this machine's clock says {TIME}"),
        (
            {"since": -9, "until": -3},
            rf"has expired at {TIME}, and this machine's clock",
        ),
    ],
)
def test_a_clock_that_is_wrong_is_named_and_not_waited_for(tmp_path, dates, expected):
    authority = Issued()
    authority.write(tmp_path, "ca")
    Issued(authority, **dates).write(tmp_path, "server")
    with serving(PlainTextResponse("ok"), tmp_path) as port:
        error = told(tmp_path, port)
    assert re.search(expected, str(error))
    assert "set the clock" in str(error)
    assert not isinstance(error, Unreachable)  # which the node would wait for


def test_another_authority_is_not_waited_for(tmp_path):
    Issued(Issued()).write(tmp_path, "server")
    Issued().write(tmp_path, "ca")
    with serving(PlainTextResponse("ok"), tmp_path) as port:
        foreign = told(tmp_path, port)
    assert "is of another authority than ca.crt" in str(foreign)
    assert not isinstance(foreign, Unreachable)


def test_a_port_without_tls_is_named(tmp_path):
    Issued().write(tmp_path, "ca")
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = told(tmp_path, port)
    assert "does not speak TLS; wrong port?" in str(error)
    assert not isinstance(error, Unreachable)
    with answering(b"") as port:
        error = told(tmp_path, port)
    assert "closes the connection" in str(error)
    assert isinstance(error, Unreachable)


def test_who_is_not_there_is_waited_for(tmp_path):
    Issued().write(tmp_path, "ca")
    error = told(tmp_path, free_port())
    assert "nothing listens there" in str(error)
    assert isinstance(error, Unreachable)
    error = told(tmp_path, 1, "no-such-host.invalid")
    assert "no such host" in str(error)
    assert isinstance(error, Unreachable)


def test_a_proxy_whose_server_is_down_is_waited_for(tmp_path):
    authority = Issued()
    authority.write(tmp_path, "ca")
    Issued(authority).write(tmp_path, "server")
    with serving(PlainTextResponse("", 502), tmp_path) as port:
        assert isinstance(told(tmp_path, port), Unreachable)
    with serving(PlainTextResponse("", 404), tmp_path) as port:
        assert "is no server of a federation" in str(told(tmp_path, port))


def test_a_certificate_that_is_shown_once_only_is_still_explained(tmp_path):
    authority = Issued()
    authority.write(tmp_path, "ca")
    Issued(authority, since=3).write(tmp_path, "server")
    with serving(PlainTextResponse("ok"), tmp_path) as port, pytest.raises(httpx.ConnectError) as e:
        httpx.get(f"https://localhost:{port}", verify=trusting(tmp_path / "ca.crt"))
    message = str(unreachable(f"localhost:{port}", e.value))  # nobody listens any more
    assert re.search(rf"not valid at this time; this machine's clock says {TIME}", message)
