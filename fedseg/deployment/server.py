"""The server of a federation: Flower's SuperLink, with a port for nodes and one for its owner.

Flower serves nodes, operators and its own processes on one port, and asks operators for no
password: anyone who reaches it can register nodes and start runs. So that port listens on this
machine only and asks operators for a token, and a second one (`gate`) is open to nodes.
"""

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy
import uvicorn
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from fedseg.deployment import superexec
from fedseg.deployment.admin import Admin
from fedseg.deployment.admin_token import TOKEN, read_token
from fedseg.deployment.admission import MOST_CONNECTIONS, Handshake, Impatient, PortConnections
from fedseg.deployment.gate import Gate
from fedseg.deployment.quota import QUOTA, UploadQuota
from fedseg.deployment.readiness import check_ready
from fedseg.deployment.runs_api import runs_router
from fedseg.deployment.signing import APP_ID, SIGNED, read_signed
from fedseg.errors import FedsegError
from fedseg.files import is_disk_full
from fedseg.flower.internals import SuperLink
from fedseg.flower.supervisor import quiet_environment
from fedseg.machine import lean_memory
from fedseg.storage.audit import AUDIT, AuditLog

LOCK_SECONDS = 20
"""How long Flower's database waits for a lock, where it would wait 5 s: on a busy disk an upload
can hold it longer, and a node whose request fails for that gives up altogether."""
POLL = 1.0
"""Seconds between two looks whether the server can go on."""
DATABASE = "superlink.db"


class Server(uvicorn.Server):
    """A second server in the process: the first one handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen as Uvicorn does, but count an `Impatient` connection before it is encrypted."""
        if self.config.http is not Impatient:
            return await super().startup(sockets)
        loop: Any = asyncio.get_running_loop()
        create, connections = loop.create_server, PortConnections()

        def create_server(make_protocol: Any, *, ssl: Any, **options: Any) -> Any:
            return create(lambda: Handshake(connections, ssl, make_protocol), **options)

        loop.create_server = create_server
        try:
            await super().startup(sockets)
        finally:
            loop.create_server = create


def serve(
    certificates: Path,
    state: Path,
    host: str,
    port: int,
    admin_port: int,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run the server until it is stopped.

    Args:
        certificates: folder with ca.crt, server.crt, server.key, admin.token and app.signed.
        state: folder for the database and the runs; what a server that is started again goes on
            from.
        host: address that nodes reach.
        port: port that nodes reach.
        admin_port: port for this machine alone: submitting runs, registering nodes.
        on_ready: called once both ports are open.

    Raises:
        FedsegError: a file is missing or unfit, a port can't be used, the disk is full, or the
            process that starts runs died.
    """
    check_ready(certificates, state, host, port, admin_port)
    app = read_signed(certificates / SIGNED)
    token = read_token(certificates / TOKEN)
    os.umask(0o077)  # the database and the runs hold clients' models
    state.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (state / DATABASE).chmod(0o600)
    _allow_connections()
    os.environ.update(quiet_environment(state.absolute() / "flower"))
    sqlalchemy.event.listen(sqlalchemy.Pool, "checkout", _wait_for_locks)
    is_full = threading.Event()
    sqlalchemy.event.listen(sqlalchemy.Engine, "handle_error", partial(_note_full, is_full))
    secret = superexec.make_secret(state)
    superlink = SuperLink.create(
        "127.0.0.1",
        admin_port,
        tls=[certificates / name for name in ("ca.crt", "server.crt", "server.key")],
        database=state.absolute() / DATABASE,
        secret=secret,
    )
    superlink.app.add_exception_handler(OperationalError, later)
    superlink.app.include_router(runs_router(state.absolute() / "runs"))
    superlink.end_orphans()
    superlink.store_app(app, APP_ID)
    audit = AuditLog(state / AUDIT)
    admin = Admin(superlink.app, token, audit)
    inner = uvicorn.Server(_config(admin, certificates, "127.0.0.1", admin_port))
    quota = UploadQuota(state / QUOTA, superlink.end_of_runs)
    gate = Gate(superlink.app, superlink, quota)
    config = _config(gate, certificates, host, port)
    config.http = Impatient
    config.lifespan = "off"
    config.proxy_headers = False  # count the address that connects, not one from a header
    outer = Server(config)
    with lean_memory():  # uploads pass through
        process = superexec.start(f"127.0.0.1:{admin_port}", secret, certificates / "ca.crt")
        try:
            ends = _end_of_disk(is_full, state), _end_of_superexec(process)
            asyncio.run(_announced(_serve(inner, outer, *ends), (inner, outer), on_ready))
        finally:
            process.terminate()
            process.wait()


def _config(app: ASGIApp, certificates: Path, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ws="none",
        ssl_certfile=str(certificates / "server.crt"),
        ssl_keyfile=str(certificates / "server.key"),
    )


def _allow_connections() -> None:
    """Let the process have as many files as there may be connections, and more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = max(soft, 4 * MOST_CONNECTIONS)
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


async def later(_: Request, error: Exception) -> JSONResponse:
    """Answer 503, so that the client tries again: Flower's 500 ends its SuperExec, apps and nodes.

    Flower takes a message in within one transaction, and on a busy disk several large uploads at
    once keep the others waiting for longer than the database does. On a full one the server ends,
    and the nodes wait for it to come back.
    """
    if "database is locked" not in str(error) and not is_disk_full(error):
        raise error
    return JSONResponse({"detail": "The database is busy."}, 503)  # Flower takes nothing but JSON


def _note_full(is_full: threading.Event, context: sqlalchemy.ExceptionContext) -> None:
    """Where Flower stores a piece of an upload it takes the error for the sender's, and goes on."""
    if is_disk_full(context.original_exception):
        is_full.set()


def _wait_for_locks(connection: Any, *_: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {1000 * LOCK_SECONDS}")


async def _announced(
    serving: Coroutine[Any, Any, None],
    servers: Sequence[uvicorn.Server],
    on_ready: Callable[[], None],
) -> None:
    """Serve, and call `on_ready` once all servers have started."""

    async def announce() -> None:
        while not all(server.started for server in servers):
            await asyncio.sleep(POLL)
        on_ready()

    announcing = asyncio.create_task(announce())
    try:
        await serving
    finally:
        announcing.cancel()


async def _serve(
    inner: uvicorn.Server, outer: uvicorn.Server, *ends: Coroutine[Any, Any, str]
) -> None:
    """Serve on both until the inner one is asked to stop, or one of `ends` returns.

    Raises:
        FedsegError: with what that end says.
    """
    nodes = asyncio.create_task(outer.serve())
    coming = [asyncio.create_task(end) for end in ends]
    for task in (nodes, *coming):
        task.add_done_callback(lambda _: setattr(inner, "should_exit", True))
    try:
        await inner.serve()
    finally:
        outer.should_exit = True
        await nodes
    for end in coming:
        if end.done():
            raise FedsegError(
                f"{end.result()}; start the server again, and submit an interrupted run again to "
                "resume it"
            )


async def _end_of_superexec(process: subprocess.Popen[bytes]) -> str:
    """Wait until the process that starts runs ends: nothing would be started from then on."""
    while process.poll() is None:
        await asyncio.sleep(POLL)
    return f"flower-superexec, which starts the runs, ended with status {process.returncode}"


async def _end_of_disk(is_full: threading.Event, state: Path) -> str:
    """Wait until there is no room for the database: nothing can go on then, nor be noted."""
    while not is_full.is_set():
        await asyncio.sleep(POLL)
    return f"{state}: the disk is full; make room"
