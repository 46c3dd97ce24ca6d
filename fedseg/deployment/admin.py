"""The server's port for this machine: requests of its owner carry a token.

Other users of the machine reach the port too. The token is a file that only the owner can read.
Which nodes are admitted and removed is logged.
"""

import contextlib
import hashlib
import secrets

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedseg.deployment.gate import Refusal, read_body, whole
from fedseg.flower.internals import (
    HEALTH,
    REGISTER,
    RUNTIME,
    UNREGISTER,
    registered_node,
    unregistered_node,
)
from fedseg.storage.audit import AuditLog

OPEN = (RUNTIME, HEALTH)
"""What needs no token: Flower's own processes sign what they ask for."""


def fingerprint(public_key: bytes) -> str:
    """What a node's public key, in Flower's encoding, is called in logs."""
    return f"sha256:{hashlib.sha256(public_key).hexdigest()}"


class Admin:
    """An application that asks for the token, and logs which nodes are admitted and removed.

    Args:
        app: Flower's application.
        token: what requests must carry, as `Authorization: Bearer ...`.
        audit: the server's log.
    """

    def __init__(self, app: ASGIApp, token: str, audit: AuditLog) -> None:
        self.app = app
        self.audit = audit
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path.startswith(OPEN):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("authorization", "").encode()
        if not secrets.compare_digest(given, self._wanted):
            refusal = JSONResponse({"detail": "Wrong token."}, 401)
            await refusal(scope, receive, send)
        elif path in (REGISTER, UNREGISTER):
            try:
                await self._change_nodes(
                    path, await read_body(headers, receive), scope, receive, send
                )
            except Refusal as error:
                await error.response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _change_nodes(
        self, path: str, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        statuses: list[int] = []

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        await self.app(scope, whole(body, receive), watched)
        if statuses != [200]:
            return
        with contextlib.suppress(ValueError):
            if path == REGISTER:
                name, key = registered_node(body)
                self.audit.add("node admitted", name=name, key=fingerprint(key))
            else:
                self.audit.add("node removed", node_id=str(unregistered_node(body)))
