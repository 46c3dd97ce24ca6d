"""Addresses and ports: what can't be used is known before anything is started."""

import errno
import socket
from urllib.parse import urlsplit

from fedseg.errors import FedsegError

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
    return address
