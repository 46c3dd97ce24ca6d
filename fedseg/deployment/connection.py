"""Reaching a server: over TLS that trusts one authority, and as a node that it knows."""

import ssl
from pathlib import Path

import flwr
import httpx
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.proto.node_pb2 import Node as FlowerNode
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fedseg.deployment.identity import CA, load_key
from fedseg.deployment.ports import check_address
from fedseg.errors import FedsegError, first_line
from fedseg.participants.node import Node


class Unreachable(FedsegError):
    """A server that may be reached later."""


def trusting(ca: Path) -> ssl.SSLContext:
    """A TLS context that trusts one authority.

    Raises:
        FedsegError: no such file, or no certificate in it.
    """
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError) as error:
        raise FedsegError(f"{ca}: can't be read as a certificate: {first_line(error)}") from None


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

    It asks to be let in with an impossible interval, and is refused for that only where the key is
    known. So the node is not made active, which would disturb one that is running.

    Raises:
        FedsegError: it is not known, or the server speaks another version of Flower.
    """
    key = public_key_to_bytes(load_key(folder).public_key())
    try:
        _fleet(node, folder).ActivateNode(
            ActivateNodeRequest(public_key=key, heartbeat_interval=-1)
        )
    except httpx.TransportError as error:
        raise unreachable(_address(node), error) from None
    except httpx.HTTPStatusError as error:
        error.response.read()
        found = FlowerError.from_json(error.response.text)
        if found and found.code == ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL:
            return f"its key is registered; Flower {flwr.__version__} fits the server's"
        if found and found.code == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED:
            raise FedsegError(
                "the server does not know its key; its owner runs "
                f"`fedseg server add {node.name} node.pub`"
            ) from None
        if error.response.status_code == 401:
            raise FedsegError(
                "the server refuses its signature; do both machines' clocks tell the same time?"
            ) from None
        reason = found.message if found else f"answers {error.response.status_code}"
        raise FedsegError(f"{reason} (Flower {flwr.__version__} here)") from None
    raise FedsegError("the server answers unlike Flower 1.41; install the same fedseg on both")


def run_has_ended(node: Node, folder: Path, node_id: int, run_id: int) -> bool:
    """Whether a run is over, as far as its server can be asked.

    Args:
        node: who asks.
        folder: of the node.
        node_id: of the node in Flower.
        run_id: of the run in Flower.
    """
    try:
        _fleet(node, folder).GetRun(GetRunRequest(node=FlowerNode(node_id=node_id), run_id=run_id))
    except httpx.HTTPStatusError as error:
        error.response.read()
        found = FlowerError.from_json(error.response.text)
        return bool(found and found.code == ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED)
    except (httpx.TransportError, FedsegError):
        return False  # it may come back
    return False


def _fleet(node: Node, folder: Path) -> FleetHttpClient:
    """Flower's client for nodes, with the node's key."""
    key = load_key(folder)
    return FleetHttpClient(
        f"https://{_address(node)}",
        verify=trusting(folder / CA),
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(key, key.public_key()),
        ],
    )


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
