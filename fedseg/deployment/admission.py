"""Which connections to the nodes' port are kept.

Whoever can reach the port can open connections. Until one has carried a request signed with the key
of a registered node it has one of few places, which its address shares; then it has one of its
node's. Where places are short, the oldest connection of whoever has the most gives way, so that
nobody keeps anybody else out, not even from behind the same router.
"""

import asyncio
import ssl
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADER_SECONDS = 20.0
"""In which a connection must be encrypted, and a request of a registered node be there."""
MOST_STRANGERS, MOST_OF_ADDRESS = 250, 100
"""Connections that carried no node's request yet: of all, and of one address."""
MOST_OF_NODES, MOST_OF_NODE = 750, 32
"""Connections of nodes: of all, and of one."""
MOST_CONNECTIONS = MOST_STRANGERS + MOST_OF_NODES


class Places:
    """Connections by their owner, of all together and of each owner only so many.

    Args:
        most: of all together.
        most_of_one: of each owner.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self.most, self.most_of_one = most, most_of_one
        self._taken: dict[Hashable, dict[asyncio.BaseTransport, None]] = {}

    def take(self, owner: Hashable, transport: asyncio.Transport) -> None:
        """Give a connection a place. Where there is none, the oldest of the largest owner ends."""
        own = self._taken.setdefault(owner, {})
        own[transport] = None
        if len(own) > self.most_of_one:
            self._end_oldest(owner)
        elif sum(map(len, self._taken.values())) > self.most:
            self._end_oldest(max(self._taken, key=lambda each: len(self._taken[each])))

    def leave(self, owner: Hashable, transport: asyncio.Transport) -> None:
        """Free the place of a connection."""
        own = self._taken.get(owner, {})
        own.pop(transport, None)
        if not own:
            self._taken.pop(owner, None)

    def _end_oldest(self, owner: Hashable) -> None:
        oldest = cast(asyncio.Transport, next(iter(self._taken[owner])))
        self.leave(owner, oldest)
        oldest.abort()


class Lobby:
    """The places of one port."""

    def __init__(self) -> None:
        self.strangers = Places(MOST_STRANGERS, MOST_OF_ADDRESS)
        self.nodes = Places(MOST_OF_NODES, MOST_OF_NODE)


class Place:
    """Where one connection is: among its address's, or among its node's.

    Args:
        lobby: of the port.
        transport: of the connection.
    """

    def __init__(self, lobby: Lobby, transport: asyncio.Transport) -> None:
        self._lobby, self._transport = lobby, transport
        self.node_id: int | None = None
        self._address = network(transport.get_extra_info("peername"))
        lobby.strangers.take(self._address, transport)

    def recognise(self, node_id: int) -> None:
        """The connection carried a request of this node."""
        if node_id != self.node_id and not self._transport.is_closing():
            self.leave()
            self.node_id = node_id
            self._lobby.nodes.take(node_id, self._transport)

    def leave(self) -> None:
        """The connection is over."""
        if self.node_id is None:
            self._lobby.strangers.leave(self._address, self._transport)
        else:
            self._lobby.nodes.leave(self.node_id, self._transport)


def network(peer: tuple[Any, ...] | None) -> str:
    """Whose connection it is: an IPv4 address, or an IPv6 network, of which anyone has a whole."""
    if not peer:
        return ""
    address = ip_address(str(peer[0]).partition("%")[0])
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or int(address) >> 64)


class Handshake(asyncio.Protocol):
    """A new connection, which has a place before it is encrypted.

    Args:
        lobby: of the port.
        tls: certificate and key.
        make_protocol: what serves the connection from then on, an `Impatient`.
    """

    def __init__(
        self, lobby: Lobby, tls: ssl.SSLContext, make_protocol: Callable[[], "Impatient"]
    ) -> None:
        self._lobby, self._tls, self._make_protocol = lobby, tls, make_protocol
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place and start to encrypt."""
        plain = cast(asyncio.Transport, transport)
        plain.pause_reading()  # until there is someone to read
        self._place = Place(self._lobby, plain)
        self._task = asyncio.get_running_loop().create_task(self._encrypt(plain))

    def data_received(self, data: bytes) -> None:
        """Keep what comes right after the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        self._task.cancel()
        self._place.leave()

    async def _encrypt(self, plain: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            encrypted = await loop.start_tls(
                plain, self, self._tls, server_side=True, ssl_handshake_timeout=HEADER_SECONDS
            )
        except OSError:  # cut off, too slow, or no TLS
            plain.abort()
            return
        if encrypted is None or encrypted.is_closing():
            return
        protocol = self._make_protocol()
        protocol.place = self._place
        encrypted.set_protocol(protocol)
        protocol.connection_made(encrypted)
        if self._early:
            protocol.data_received(self._early)


class Impatient(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
    """Uvicorn's connection, closed when the headers of a request do not come in time."""

    place: Place

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start to wait for the headers of the first request."""
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {"connection": self.place}  # for the gate
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_waiting)

    def on_response_complete(self) -> None:
        """Start to wait for the headers of a node's next request."""
        super().on_response_complete()
        if self.place.node_id is not None:
            self._timer.cancel()
            self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._timer.cancel()
        self.place.leave()
        super().connection_lost(exc)

    def _close_if_waiting(self) -> None:
        if self.place.node_id is None or self.cycle.response_complete:
            self.transport.abort()
