import socket
from ipaddress import IPv4Address, IPv6Address

import pytest

from fedseg.deployment.ports import check_address, check_port, parse_host
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
    ("host", "parsed"),
    [
        ("Fed.Example.org", "fed.example.org"),
        ("my_service", "my_service"),
        ("3com.com", "3com.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),
        ("192.0.2.7", IPv4Address("192.0.2.7")),
        ("2001:DB8::7", IPv6Address("2001:db8::7")),
    ],
)
def test_hosts(host, parsed):
    assert parse_host(host) == parsed


@pytest.mark.parametrize(
    ("host", "remedy"),
    [
        ("192.168.001.005", "write 192.168.1.5, without leading zeros"),
        ("1.2.3", "four numbers of 0 to 255"),
        ("300.1.1.1", "four numbers of 0 to 255"),
        ("1.2.3.4.5", "four numbers of 0 to 255"),
        ("1.2.3.4.", "four numbers of 0 to 255"),
        ("127", "four numbers of 0 to 255"),
        ("0x7f.1", "four numbers of 0 to 255"),
        ("192.168.1.\u0665", "four numbers of 0 to 255"),
        ("::gg", "Only hex digits"),
        ("1:2:3", "8 parts"),
        ("fe80::1%eth0", "leave out '%eth0'"),
        ("0.0.0.0", "all addresses of a machine"),
        ("::", "all addresses of a machine"),
        ("https://x", "leave out scheme"),
        ("10.0.0.0/8", "leave out scheme"),
        ("user@x", "leave out scheme, user"),
        ("x:9092", "leave out port"),
        ("[::1]", "brackets"),
        ("[::1]:9092", "leave out port"),
        ("", "is empty"),
        (" ", "is empty"),
        ("two words", "leave out the spaces"),
        ("x\n", "leave out the spaces"),
        ("x\0y", "letters, digits and hyphens"),
        ("a..b", "letters, digits and hyphens"),
        ("-x", "letters, digits and hyphens"),
        ("a,b", "letters, digits and hyphens"),
        ("a" * 64, "at most 63"),
        ("a." * 127 + "a", "letters"),
    ],
)
def test_what_is_no_host(host, remedy):
    with pytest.raises(FedsegError, match=f"no host name and no IP address; .*{remedy}") as error:
        parse_host(host)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("address", ["192.168.001.005:9092", "1.2.3:9092", "0.0.0.0:9092"])
def test_an_address_whose_host_is_none(address):
    with pytest.raises(FedsegError, match="no host name and no IP address"):
        check_address(address)


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
