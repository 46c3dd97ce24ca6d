"""Hosts, addresses and ports: what can't be used is known before anything is started."""

import errno
import re
import socket
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import idna

from fedseg.errors import FedsegError, first_line, plain

NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
"""A DNS name; underscores are no part of the standard, but of Docker's names of services."""
NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?", re.IGNORECASE)
"""What resolvers take for an IPv4 address, by its last part (WHATWG URL, "ends in a number")."""

REASONS = {
    errno.EADDRINUSE: "is in use on this machine",
    errno.EACCES: "may be opened by root only",
    errno.EPERM: "may be opened by root only",
}


def check_port(host: str, port: int, option: str) -> None:
    """See that a port can be listened on.

    Args:
        host: address of this machine.
        port: 1 to 65535.
        option: by which another is chosen.

    Raises:
        FedsegError: it can't, and why.
    """
    if not 1 <= port <= 65535:
        raise FedsegError(f"{option} {port}: a port lies in 1..65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise FedsegError(f"--host {host}: no such host; give an address of this machine") from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno not in REASONS:
                raise FedsegError(f"--host {host}: is no address of this machine") from None
            raise FedsegError(
                f"port {port} {REASONS[error.errno]}; choose another with {option}"
            ) from None


def check_address(address: str) -> str:
    """See that an address is HOST:PORT; an IPv6 address stands in brackets.

    Raises:
        FedsegError: it is not.
    """
    try:
        parts = urlsplit(f"//{address}")
        is_good = bool(parts.hostname and parts.port) and parts.netloc == address
    except ValueError:
        is_good = False
    if not is_good or "@" in address or any(c.isspace() for c in address):
        raise FedsegError(f"'{address}' is not HOST:PORT, such as fed.example.org:9092")
    parse_host(str(parts.hostname).partition("%")[0])
    return address


def parse_host(host: str) -> IPv4Address | IPv6Address | str:
    """An IP address, or a DNS name in lower case and ASCII (IDNA 2008 for any other script).

    Raises:
        FedsegError: it is neither, or an address that no machine can be reached under.
    """
    try:
        address = ip_address(host)
    except ValueError:
        name = _ascii(host).lower()
        if NAME.fullmatch(name) and not NUMBER.fullmatch(name):
            return name
        raise _no_host(host, _host_remedy(host)) from None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise _no_host(host, f"leave out '%{address.scope_id}', which one machine alone knows")
    if address.is_unspecified:
        raise _no_host(host, "it stands for all addresses of a machine; give the one that is used")
    return address


def _ascii(host: str) -> str:
    """A host name with its labels of other scripts encoded, as far as that is possible."""
    with suppress(idna.IDNAError):
        labels = host.split(".")
        return ".".join(x if x.isascii() else idna.encode(x, uts46=True).decode() for x in labels)
    return host


def _no_host(host: str, remedy: str) -> FedsegError:
    return FedsegError(f"'{plain(host)}': is no host name and no IP address; {remedy}")


def _host_remedy(host: str) -> str:
    if not host.strip():
        return "it is empty; give the name of the server's machine"
    if any(c.isspace() for c in host):
        return "leave out the spaces"
    if "/" in host or "@" in host:
        return "leave out scheme, user and path"
    if "[" in host or host.count(":") == 1:
        return "leave out port and brackets"
    if ":" in host:
        try:
            IPv6Address(host)
        except AddressValueError as error:
            return first_line(error)
    if NUMBER.fullmatch(host):
        with suppress(AddressValueError):
            without_zeros = IPv4Address(re.sub(r"\b0+(?=\d)", "", host))
            return f"write {without_zeros}, without leading zeros"
        return "an IPv4 address has four numbers of 0 to 255, such as 192.0.2.7"
    return "a name has letters, digits and hyphens between its dots, at most 63 in a row"
