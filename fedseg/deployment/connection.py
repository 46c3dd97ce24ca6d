"""Reaching a server: over TLS that trusts one authority, and as a node that it knows."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import flwr
import httpx
from cryptography import x509

from fedseg.deployment.authority import CA, MINUTES, trusting, validity_problem
from fedseg.deployment.identity import load_key
from fedseg.deployment.ports import check_address
from fedseg.errors import FedsegError, first_line
from fedseg.flower.internals import KNOWN_NODE, UNKNOWN_NODE, FleetClient
from fedseg.participants.node import Node

RENEW = "its owner must renew it with `fedseg deploy certs`"


class Unreachable(FedsegError):
    """A server that may be reached later."""


def check_server(node: Node, folder: Path) -> str:
    """See that a node's server answers, with a certificate that the node trusts.

    Raises:
        Unreachable: it does not, and may later.
        FedsegError: it is not the right one.
    """
    address = _address(node)
    try:
        response = httpx.get(f"https://{address}/health", verify=trusting(folder / CA), timeout=10)
        response.raise_for_status()
    except httpx.TransportError as error:
        raise unreachable(address, error) from None
    except httpx.HTTPStatusError as error:
        if error.response.is_server_error:  # a proxy whose server is down
            raise Unreachable(f"{address}: answers {error.response.status_code}") from None
        raise FedsegError(f"{address}: is no server of a federation; check the port") from None
    return f"{address} answers, with a certificate of {CA}"


def check_registration(node: Node, folder: Path) -> str:
    """See that a node's server knows its key.

    The node is not activated, which would disturb one that is running.

    Raises:
        FedsegError: it is not known, or the server speaks another version of Flower.
    """
    try:
        found = _fleet(node, folder).probe()
    except httpx.TransportError as error:
        raise unreachable(_address(node), error) from None
    if found is None:
        raise FedsegError("the server answers unlike Flower's; install the same fedseg on both")
    if found.code == KNOWN_NODE:
        return f"its key is registered; Flower {flwr.__version__} fits the server's"
    if found.code == UNKNOWN_NODE:
        raise FedsegError(
            "the server does not know its key; its owner runs "
            f"`fedseg deploy nodes --add {node.name} node.pub`"
        )
    if found.status == 401:
        raise FedsegError(
            "the server refuses its signature; do both machines' clocks tell the same time? This "
            f"one's says {datetime.now(UTC):{MINUTES}}"
        )
    reason = found.message or f"answers {found.status}"
    raise FedsegError(f"{reason} (Flower {flwr.__version__} here)")


def run_has_ended(node: Node, folder: Path, node_id: int, run_id: int) -> bool:
    """Whether a run is over, as far as its server can be asked.

    Args:
        node: who asks.
        folder: of the node.
        node_id: of the node in Flower.
        run_id: of the run in Flower.
    """
    try:
        return _fleet(node, folder).run_has_ended(node_id, run_id)
    except (httpx.TransportError, FedsegError):
        return False  # it may come back


def _fleet(node: Node, folder: Path) -> FleetClient:
    return FleetClient(_address(node), trusting(folder / CA), load_key(folder))


def _address(node: Node) -> str:
    if not node.server:
        raise FedsegError("node.toml names no server; add server = 'HOST:PORT'")
    return check_address(node.server)


def unreachable(address: str, error: Exception) -> FedsegError:
    """What kept a TLS connection from being made, and what to do.

    Args:
        address: HOST:PORT.
        error: of httpx, or of what lies below it.

    Returns:
        An `Unreachable` where trying again may help.
    """
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return FedsegError(f"{address}: {_distrust(address, cause)}")
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ConnectionResetError():
                meaning = "closes the connection unasked; is it starting, or the port another's?"
                return Unreachable(f"{address}: {meaning}")
            case ssl.SSLError() if "ALERT" in str(cause.reason):
                reason = str(cause.reason).lower().replace("_", " ")
                return FedsegError(f"{address}: refuses TLS ({reason}); is it the server's port?")
            case ssl.SSLError():
                return FedsegError(f"{address}: does not speak TLS; wrong port?")
            case ConnectionRefusedError():
                meaning = "nothing listens there; is the server up, and the port right?"
                return Unreachable(f"{address}: {meaning}")
            case socket.gaierror():
                return Unreachable(f"{address}: no such host; check the name, or the DNS")
            case TimeoutError():
                return Unreachable(f"{address}: no answer; a firewall, or the wrong address?")
    return Unreachable(f"{address}: can't be reached: {first_line(error)}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _distrust(address: str, error: ssl.SSLCertVerificationError) -> str:
    """Say why a server's certificate is refused, from OpenSSL's error code."""
    match error.verify_code:
        case 9 | 10:
            return f"{_invalid_now(address)}; set the clock, or if it is right, {RENEW}"
        case 62:
            return "its certificate does not name this host; issue one that does"
        case 64:
            return "its certificate does not name this address; issue one that does"
        case 2 | 7 | 18 | 19 | 20 | 21 | 30:
            return f"its certificate is of another authority than {CA}"
    return f"its certificate is refused: {error.verify_message}; {RENEW}"


def _invalid_now(address: str) -> str:
    """Say why a server's certificate is not valid now, with its dates if it shows it again."""
    parts = urlsplit(f"//{address}")
    with suppress(OSError, ValueError):
        shown = ssl.get_server_certificate((str(parts.hostname), parts.port or 0), timeout=10)
        if problem := validity_problem(x509.load_pem_x509_certificate(shown.encode())):
            return problem
    now = datetime.now(UTC)
    return f"its certificate is not valid at this time; this machine's clock says {now:{MINUTES}}"
