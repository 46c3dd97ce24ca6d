"""An application that listens, over TLS, in a thread of this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from fedseg.deployment.server import Server
from fedseg.flower.supervisor import free_port
from tests.processes import wait_until


@contextmanager
def serving(application, certificates: Path, **options) -> Iterator[int]:
    """Within it the application listens on the port that is given.

    Args:
        application: of ASGI.
        certificates: folder with server.crt and server.key.
        options: of Uvicorn.
    """
    port = free_port()
    config = uvicorn.Config(
        application,
        port=port,
        log_level="warning",
        loop="asyncio",
        ssl_certfile=str(certificates / "server.crt"),
        ssl_keyfile=str(certificates / "server.key"),
        **options,
    )
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 20)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join()
