"""Reaching a server: over TLS that trusts one authority, and as a node that it knows."""

from pathlib import Path

import flwr
import httpx

from fedseg.deployment.credentials import trusting
from fedseg.deployment.identity import CA, load_key
from fedseg.deployment.ports import check_address
from fedseg.errors import FedsegError, first_line
from fedseg.flower.internals import KNOWN_NODE, UNKNOWN_NODE, FleetClient
from fedseg.participants.node import Node


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
    except httpx.HTTPStatusError:
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
            f"`fedseg server add {node.name} node.pub`"
        )
    if found.status == 401:
        raise FedsegError(
            "the server refuses its signature; do both machines' clocks tell the same time?"
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

    Returns:
        An `Unreachable` where trying again may help.
    """
    text = first_line(error)
    foreign = "its certificate is of another authority than ca.crt"
    for sign, meaning in (
        ("Hostname mismatch", "its certificate does not name this host; issue one that does"),
        ("IP address mismatch", "its certificate does not name this address; issue one that does"),
        ("self-signed certificate", foreign),
        ("self signed certificate", foreign),
        ("unable to get local issuer", foreign),
        ("signature failure", foreign),
        ("has expired", "its certificate has expired; the server's owner must renew it"),
        ("WRONG_VERSION_NUMBER", "it does not speak TLS; wrong port?"),
    ):
        if sign in text:
            return FedsegError(f"{address}: {meaning}")
    for sign, meaning in (
        ("Connection refused", "nothing listens there; is the server up, and the port right?"),
        ("Name or service not known", "no such host; check the name, or the DNS"),
        ("timed out", "no answer; a firewall, or the wrong address?"),
    ):
        if sign in text:
            return Unreachable(f"{address}: {meaning}")
    return Unreachable(f"{address}: can't be reached: {text}")
