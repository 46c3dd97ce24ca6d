"""The loopback interface, by which Flower's and Ray's processes on a machine reach each other."""

import socket

from fedseg.errors import FedsegError

HOST = "127.0.0.1"
TIMEOUT = 1.0  # seconds


def check_loopback() -> None:
    """See that this machine reaches itself. In a network namespace that is new, it does not.

    Raises:
        FedsegError: it does not; with the remedy.
    """
    try:
        with socket.create_server((HOST, 0)) as server:
            socket.create_connection(server.getsockname(), TIMEOUT).close()
    except OSError as error:
        raise FedsegError(
            f"this machine can't reach itself at {HOST} ({error.strerror or error}), as Flower's "
            "and Ray's processes must; bring up its loopback interface: ip link set lo up"
        ) from None
