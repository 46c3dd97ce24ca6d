"""The port that nodes reach: who may ask, for what, how much, and how slowly.

The headers of a request carry the node's key and signature, so that is looked at before anything of
the body is read. A body has a size, a time and a share of the run's bytes that it may not exceed.
What it asks for must be on a list, and belong to the node whose key it was signed with.
"""

import asyncio
import contextlib
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedseg.deployment.quota import UploadQuota
from fedseg.flower.internals import (
    FLEET_REQUESTS,
    HEALTH,
    PUSH_MESSAGES,
    PUSH_OBJECT,
    RUN_OVER,
    UNKNOWN_NODE,
    Announcement,
    NodeRequest,
    ReplyContext,
    signer,
)
from fedseg.flower.messages import TRAIN, most_objects

MOST_BYTES = 8 * 2**20
"""Bytes of a request body: a piece of an upload has 5 MB, and so have Flower's own."""
MOST_SMALL_BYTES = 4096
"""Bytes of a request body that holds nothing but ids."""
MOST_REPLY_BYTES, OBJECT_BYTES = 65536, 100
"""Bytes of a request that announces a reply: with an error's text, and for each object."""
BODY_SECONDS = 300.0
"""Seconds in which a body must be there: 8 MB at 250 kbit/s."""
KNOWN_SECONDS = 10.0
"""Seconds for which a key that was registered is taken to be so."""
MOST_AT_ONCE = 16
"""Requests of one node."""
MAX_UPLOAD = 4096 * 10**6
"""Bytes that a node may push in one run: a model of a billion parameters in float32."""
OBJECT_SECONDS = 0.05
"""Seconds for each announced object until its node may announce again. Announcing an object locks
Flower's database for about a tenth of that."""


class Refusal(Exception):
    """A request that is not passed on, and why.

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


class NodeRecords(Protocol):
    """What Flower's server knows of its nodes; `fedseg.flower.internals.SuperLink`."""

    def node_id(self, public_key: bytes) -> int | None:
        """The node that has this public key, in Flower's encoding; None if there is none."""

    def has_part(self, node_id: int, run_id: int, object_id: str | None = None) -> bool:
        """Whether a run sent a node a message, and if given, one with this object in it."""

    def open_question(self, node_id: int, announcement: Announcement) -> ReplyContext | None:
        """What a node was sent and now answers; None if it was not, or gave another answer."""


class Gate:
    """An application that passes on the requests of registered nodes and the health check.

    Args:
        app: Flower's application.
        records: which nodes there are, and what they were asked.
        quota: of bytes pushed.
        max_upload: bytes that a node may push in one run.
    """

    def __init__(
        self,
        app: ASGIApp,
        records: NodeRecords,
        quota: UploadQuota,
        max_upload: int = MAX_UPLOAD,
    ) -> None:
        self.app = app
        self.records = records
        self.quota = quota
        self.max_upload = max_upload
        reply = MOST_REPLY_BYTES + OBJECT_BYTES * most_objects(TRAIN, max_upload)
        self._most_bytes = {PUSH_OBJECT: MOST_BYTES, PUSH_MESSAGES: reply}
        self._checks = {PUSH_OBJECT: self._check_object, PUSH_MESSAGES: self._check_reply}
        self._parts: set[tuple[int, int]] = set()  # nodes and runs that sent them a message
        self._known: dict[bytes, tuple[int, float]] = {}  # node of a key, and when that was seen
        self._at_once: Counter[int] = Counter()
        self._rest: dict[int, float] = {}  # until when a node announces nothing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        path = scope.get("path", "")
        try:
            if path == HEALTH:
                await self.app(scope, whole(b"", receive), send)
            elif path in FLEET_REQUESTS:
                await self._pass_on(scope, receive, send)
            else:
                raise Refusal(403, "This port is for nodes only.")
        except Refusal as refusal:
            await refusal.response(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        try:
            key = signer(headers)
        except ValueError:
            raise Refusal(401, "Invalid SuperNode authentication") from None
        node_id = await self._node_id(key)
        if node_id is None:
            raise Refusal(412, "This key is not registered.", UNKNOWN_NODE)
        if connection := scope.get("state", {}).get("connection"):
            connection.recognise(node_id)
        if self._at_once[node_id] >= MOST_AT_ONCE:
            raise Refusal(503, "Too many requests at once.")
        self._at_once[node_id] += 1
        try:
            most = self._most_bytes.get(path, MOST_SMALL_BYTES)
            body = await read_body(headers, receive, most)
            try:
                request = NodeRequest(path, body)
            except ValueError:
                raise Refusal(400, "Not a request of Flower's.") from None
            if not request.is_from(node_id, key):
                raise Refusal(403, "This is another node's.")
            check = self._checks.get(path, self._check_part)
            objects = await run_in_threadpool(check, node_id, request, len(body))
            with self._turn(node_id, objects) if objects else contextlib.nullcontext():
                await self.app(scope, whole(body, receive), send)
        finally:
            self._at_once[node_id] -= 1

    async def _node_id(self, key: bytes) -> int | None:
        """The node of a key, looked up at most every few seconds: Flower looks too."""
        now = time.monotonic()
        node_id, seen = self._known.get(key, (None, 0.0))
        if node_id is not None and now - seen < KNOWN_SECONDS:
            return node_id
        self._known.pop(key, None)
        node_id = await run_in_threadpool(self.records.node_id, key)
        if node_id is not None:
            self._known[key] = node_id, now
        return node_id

    def _check_part(self, node_id: int, request: NodeRequest, _: int) -> int:
        """See that a node asks for what it was sent: a run's app, an object of a message."""
        part = node_id, request.run_id
        if request.run_id is None or (request.is_about_run and part in self._parts):
            return 0
        object_id = None if request.is_about_run else request.object_id
        if not self.records.has_part(node_id, request.run_id, object_id):
            raise Refusal(403, "This node was not sent that, or the run is over.", RUN_OVER)
        self._parts.add((node_id, request.run_id))
        return 0

    def _check_reply(self, node_id: int, request: NodeRequest, size: int) -> int:
        """See that a node announces one reply to what it was asked; the number of its objects."""
        try:
            reply = request.announcement()
        except ValueError:
            raise Refusal(403, "Not one reply to the server.") from None
        question = self.records.open_question(node_id, reply)
        if question is None or question != reply.question:
            raise Refusal(403, "This node was not asked that, or has answered.")
        if reply.objects > most_objects(question.kind, self.max_upload):
            raise Refusal(413, f"More objects than {self.max_upload} bytes have.")
        with storing():
            self.quota.open(node_id, question.run_id)
        self._count(node_id, question.run_id, size)
        return reply.objects

    def _check_object(self, node_id: int, request: NodeRequest, size: int) -> int:
        """See that a piece of an upload was announced by its node, and count it."""
        if not request.is_in_session:
            raise Refusal(403, "This was not announced.")
        assert request.run_id is not None
        self._count(node_id, request.run_id, size)
        return 0

    def _count(self, node_id: int, run_id: int, size: int) -> None:
        """Count bytes against what a node may push in a run."""
        with storing():
            pushed = self.quota.add(node_id, run_id, size)
        if pushed is None:
            raise Refusal(403, "This node has announced nothing in that run.")
        if pushed > self.max_upload:
            raise Refusal(413, f"More than {self.max_upload} bytes in one run.")

    @contextlib.contextmanager
    def _turn(self, node_id: int, objects: int) -> Iterator[None]:
        """Let a node announce one reply at a time, and rest: the database is locked meanwhile."""
        if time.monotonic() < self._rest.get(node_id, 0.0):
            raise Refusal(503, "One reply at a time.")
        self._rest[node_id] = math.inf
        try:
            yield
        finally:
            self._rest[node_id] = time.monotonic() + OBJECT_SECONDS * objects


@contextlib.contextmanager
def storing() -> Iterator[None]:
    """Turn a full disk into a refusal that Flower's nodes try again."""
    try:
        yield
    except sqlite3.OperationalError:
        raise Refusal(503, "The quota can't be stored.") from None


async def read_body(headers: Headers, receive: Receive, most: int = MOST_BYTES) -> bytes:
    """Read a request's body of at most so many bytes.

    Raises:
        Refusal: it is too large, or does not come in time.
    """
    announced = headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > most:
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
                if size > most:
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
