import socket

import pytest

from fedseg.deployment.ports import check_address, check_port
from fedseg.errors import FedsegError


def test_a_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    check_port("127.0.0.1", port, "--port")


def test_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for host in ("127.0.0.1", "0.0.0.0"):
            with pytest.raises(FedsegError, match=f"port {port} is in use .*with --admin-port"):
                check_port(host, port, "--admin-port")


@pytest.mark.parametrize("port", [0, -1, 65536, 70000])
def test_impossible_ports(port):
    with pytest.raises(FedsegError, match=f"--port {port}: a port lies in 1..65535"):
        check_port("127.0.0.1", port, "--port")


def test_a_port_for_root_alone(monkeypatch):
    def bind(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(FedsegError, match="port 80 may be opened by root only"):
        check_port("127.0.0.1", 80, "--port")


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid", "a" * 300])
def test_hosts_that_are_not_this_machine(host):
    with pytest.raises(FedsegError, match=r"--host .*address of this machine"):
        check_port(host, 9092, "--port")


@pytest.mark.parametrize(
    "address", ["localhost:8000", "fed.example.org:9092", "10.0.0.1:1", "[::1]:8000"]
)
def test_addresses(address):
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        "localhost:",
        ":8000",
        "localhost:port",
        "localhost:70000",
        "localhost:0",
        "localhost:-1",
        "https://localhost:8000",
        "localhost:8000/path",
        "::1:8000",
        "user@localhost:8000",
        "local host:8000",
        "[::1:8000",
    ],
)
def test_what_is_no_address(address):
    with pytest.raises(FedsegError, match="is not HOST:PORT"):
        check_address(address)
