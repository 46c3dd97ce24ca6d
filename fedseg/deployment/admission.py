"""Limits on the connections to the port for nodes.

Anyone who can reach the port can open connections. A connection counts against its address until it
has carried a request signed with the key of a registered node, and then against that node. At a
limit, the address or node with the most connections loses its oldest one. So nobody can lock others
out, not even those behind the same router.
"""

import asyncio
import ssl
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADER_SECONDS = 20.0
"""Time to encrypt a new connection and to send a registered node's first request."""
CLOSING_SECONDS = 2.0
"""Time for a peer to confirm that a connection is closed: a server that stops waits for it."""
MOST_STRANGERS, MOST_OF_ADDRESS = 250, 100
"""Connections without a registered node's request so far: in all, and from one address."""
MOST_OF_NODES, MOST_OF_NODE = 750, 32
"""Connections of registered nodes: in all, and of one node."""
MOST_CONNECTIONS = MOST_STRANGERS + MOST_OF_NODES


class ConnectionPool:
    """A limited number of connections, in all and for each owner.

    Args:
        most: connections in all.
        most_of_one: connections of one owner, an address or a node.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self.most, self.most_of_one = most, most_of_one
        self._taken: dict[Hashable, dict[asyncio.BaseTransport, None]] = {}

    def take(self, owner: Hashable, transport: asyncio.Transport) -> None:
        """Add a connection. At a limit, close the oldest one of the owner with the most."""
        own = self._taken.setdefault(owner, {})
        own[transport] = None
        if len(own) > self.most_of_one:
            self._end_oldest(owner)
        elif sum(map(len, self._taken.values())) > self.most:
            self._end_oldest(max(self._taken, key=lambda each: len(self._taken[each])))

    def leave(self, owner: Hashable, transport: asyncio.Transport) -> None:
        """Remove a connection that is closed."""
        own = self._taken.get(owner, {})
        own.pop(transport, None)
        if not own:
            self._taken.pop(owner, None)

    def _end_oldest(self, owner: Hashable) -> None:
        oldest = cast(asyncio.Transport, next(iter(self._taken[owner])))
        self.leave(owner, oldest)
        oldest.abort()


class PortConnections:
    """The connections to one port."""

    def __init__(self) -> None:
        self.strangers = ConnectionPool(MOST_STRANGERS, MOST_OF_ADDRESS)
        self.nodes = ConnectionPool(MOST_OF_NODES, MOST_OF_NODE)


class Connection:
    """A connection that counts against its address, or against its node once that is known.

    Args:
        connections: all connections to the port.
        transport: the connection's transport.
    """

    def __init__(self, connections: PortConnections, transport: asyncio.Transport) -> None:
        self._connections, self._transport = connections, transport
        self.node_id: int | None = None
        self._address = network(transport.get_extra_info("peername"))
        connections.strangers.take(self._address, transport)

    def recognise(self, node_id: int) -> None:
        """Count the connection against a node that has sent a request."""
        if node_id != self.node_id and not self._transport.is_closing():
            self.leave()
            self.node_id = node_id
            self._connections.nodes.take(node_id, self._transport)

    def leave(self) -> None:
        """Remove the connection, which is closed."""
        if self.node_id is None:
            self._connections.strangers.leave(self._address, self._transport)
        else:
            self._connections.nodes.leave(self.node_id, self._transport)


def network(peer: tuple[Any, ...] | None) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 address: one host has all of it."""
    if not peer:
        return ""
    address = ip_address(str(peer[0]).partition("%")[0])
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or int(address) >> 64)


class Handshake(asyncio.Protocol):
    """A new connection, which is counted before it is encrypted.

    Args:
        connections: all connections to the port.
        tls: certificate and key.
        make_protocol: what serves the connection from then on, an `Impatient`.
    """

    def __init__(
        self,
        connections: PortConnections,
        tls: ssl.SSLContext,
        make_protocol: Callable[[], "Impatient"],
    ) -> None:
        self._connections, self._tls, self._make_protocol = connections, tls, make_protocol
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection and start to encrypt it."""
        plain = cast(asyncio.Transport, transport)
        plain.pause_reading()  # until there is someone to read
        self._connection = Connection(self._connections, plain)
        self._task = asyncio.get_running_loop().create_task(self._encrypt(plain))

    def data_received(self, data: bytes) -> None:
        """Keep what comes right after the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection, which is closed."""
        self._task.cancel()
        self._connection.leave()

    async def _encrypt(self, plain: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            encrypted = await loop.start_tls(
                plain,
                self,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=HEADER_SECONDS,
                ssl_shutdown_timeout=CLOSING_SECONDS,
            )
        except OSError:  # cut off, too slow, or no TLS
            plain.abort()
            return
        if encrypted is None or encrypted.is_closing():
            return
        protocol = self._make_protocol()
        protocol.connection = self._connection
        encrypted.set_protocol(protocol)
        protocol.connection_made(encrypted)
        if self._early:
            protocol.data_received(self._early)


class Impatient(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
    """Uvicorn's connection, closed when the headers of a request do not come in time."""

    connection: Connection

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start to wait for the headers of the first request."""
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {"connection": self.connection}  # for the gate
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_waiting)

    def on_response_complete(self) -> None:
        """Start to wait for the headers of a node's next request."""
        super().on_response_complete()
        if self.connection.node_id is not None:
            self._timer.cancel()
            self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._timer.cancel()
        self.connection.leave()
        super().connection_lost(exc)

    def _close_if_waiting(self) -> None:
        if self.connection.node_id is None or self.cycle.response_complete:
            self.transport.abort()
