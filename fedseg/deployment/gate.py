"""The port that nodes reach: who may ask, how much, and how slowly.

The headers of a request carry the node's key and signature, so that is looked at before anything of
the body is read. A body has a size, a time and a share of the run's bytes that it may not exceed.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from fedseg.flower.internals import (
    FLEET,
    HEALTH,
    PUSH_OBJECT,
    UNKNOWN_NODE,
    pushed_run,
    signer,
)

MOST_BYTES = 8 * 2**20
"""Of a body: a piece of an upload has 5 MB, and so have Flower's own."""
HEADER_SECONDS = 20.0
"""In which a connection must be encrypted, and the headers of a request be there."""
BODY_SECONDS = 300.0
"""In which a body must be there: 8 MB at 250 kbit/s."""
KNOWN_SECONDS = 10.0
"""For which a key that was registered is taken to be so."""
MOST_CONNECTIONS = 1000
MOST_AT_ONCE = 16
"""Requests of one node."""


class Refusal(Exception):
    """Why a request is not passed on.

    Args:
        status: of HTTP.
        detail: the reason, for the node.
        code: of Flower's errors, where its nodes know one.
    """

    def __init__(self, status: int, detail: str, code: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.code = status, detail, code

    @property
    def response(self) -> Response:
        """What the node gets."""
        content = {"detail": self.detail} | ({} if self.code is None else {"code": self.code})
        # What was not read of the request is not wanted.
        return JSONResponse(content, self.status, headers={"Connection": "close"})


class Gate:
    """An application that passes on the requests of registered nodes and the health check.

    Args:
        app: Flower's application.
        is_registered: whether a node has this public key, in Flower's encoding.
        max_upload: bytes that a node may push in one run.
    """

    def __init__(
        self, app: ASGIApp, is_registered: Callable[[bytes], bool], max_upload: int
    ) -> None:
        self.app = app
        self.is_registered = is_registered
        self.max_upload = max_upload
        self._known: dict[bytes, float] = {}  # keys that were registered, and when that was seen
        self._at_once: Counter[bytes] = Counter()
        self._pushed: Counter[tuple[bytes, int]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        path = scope.get("path", "")
        try:
            if path == HEALTH:
                await self.app(scope, whole(b"", receive), send)
            elif path.startswith(FLEET):
                await self._pass_on(scope, receive, send)
            else:
                raise Refusal(403, "This port is for nodes only.")
        except Refusal as refusal:
            await refusal.response(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            key = signer(headers)
        except ValueError:
            raise Refusal(401, "Invalid SuperNode authentication") from None
        if not await self._is_registered(key):
            raise Refusal(412, "This key is not registered.", UNKNOWN_NODE)
        if self._at_once[key] >= MOST_AT_ONCE:
            raise Refusal(503, "Too many requests at once.")
        self._at_once[key] += 1
        try:
            body = await read_body(headers, receive)
            if scope["path"] == PUSH_OBJECT:
                self._count(key, body)
            await self.app(scope, whole(body, receive), send)
        finally:
            self._at_once[key] -= 1

    async def _is_registered(self, key: bytes) -> bool:
        """Whether a key is registered, looked up at most every few seconds: Flower looks too."""
        now = time.monotonic()
        if now - self._known.get(key, -KNOWN_SECONDS) < KNOWN_SECONDS:
            return True
        self._known.pop(key, None)
        if not await run_in_threadpool(self.is_registered, key):
            return False
        self._known[key] = now
        return True

    def _count(self, key: bytes, body: bytes) -> None:
        """Count a piece of an upload against what its node may push in the run."""
        try:
            run = pushed_run(body)
        except ValueError:
            raise Refusal(400, "No object.") from None
        self._pushed[key, run] += len(body)
        if self._pushed[key, run] > self.max_upload:
            raise Refusal(413, f"More than {self.max_upload} bytes in one run (--max-upload).")


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """Read a request's body.

    Raises:
        Refusal: it is too large, or does not come in time.
    """
    announced = headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > MOST_BYTES:
        raise Refusal(413, "Request too large.")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "Cut off.")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MOST_BYTES:
                    raise Refusal(413, "Request too large.")
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise Refusal(408, "Request too slow.") from None


def whole(body: bytes, receive: Receive) -> Receive:
    """What an application receives of a request whose body was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_rest() -> Message:
        if messages:
            return messages.pop()
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return receive_rest


class Impatient(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
    """Uvicorn's connection, closed when the headers of a request do not come in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start to wait for the headers of the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_waiting)

    def on_response_complete(self) -> None:
        """Start to wait for the headers of the next request."""
        super().on_response_complete()
        self._timer.cancel()
        self._timer = self.loop.call_later(HEADER_SECONDS, self._close_if_waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _close_if_waiting(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
