"""A server and a node notice that the process which starts their apps is gone; a busy database
ends none of them."""

import asyncio
import contextlib
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path

import fastapi
import pytest
import sqlalchemy
import uvicorn
from fastapi.testclient import TestClient
from flwr.supercore.error import http_error_translator
from flwr.supercore.protobuf.translation import ProtobufTranslationMiddleware
from flwr.supercore.retry.http_retry import _RETRYABLE_STATUS_CODES
from sqlalchemy.exc import OperationalError
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from fedseg.deployment import server, supernode
from fedseg.errors import FedsegError
from fedseg.flower.supervisor import free_port


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def serve(superexec: list[str], and_stop: bool = False, and_fill: bool = False) -> None:
    """Serve with that as the process that starts runs; tell it to stop, fill its disk, or see it
    end by itself."""
    ports = (free_port(), free_port())
    configs = [uvicorn.Config(application, port=port, lifespan="off") for port in ports]
    inner, outer = uvicorn.Server(configs[0]), server.Server(configs[1])
    process, is_full = subprocess.Popen(superexec), threading.Event()

    async def stopped_in_time():
        serving = asyncio.create_task(
            server._serve(
                inner,
                outer,
                server._end_of_disk(is_full, Path("/srv/state")),
                server._end_of_superexec(process),
            )
        )
        await asyncio.sleep(1)
        assert inner.started
        assert outer.started
        inner.should_exit = and_stop
        if and_fill:
            is_full.set()
        await asyncio.wait_for(serving, 10)

    try:
        asyncio.run(stopped_in_time())
    finally:
        process.kill()
        process.wait()


def test_a_server_ends_with_the_process_that_starts_runs():
    with pytest.raises(FedsegError, match=r"flower-superexec, .* ended with status 7; start"):
        serve(["sh", "-c", "sleep 2; exit 7"])


def test_a_server_ends_when_its_disk_is_full():
    with pytest.raises(FedsegError, match="/srv/state: the disk is full; make room; start the"):
        serve(["sleep", "600"], and_fill=True)


def test_a_server_that_is_told_to_stop_says_nothing_of_it():
    serve(["sleep", "600"], and_stop=True)


def test_a_node_whose_superexec_died_is_started_anew(monkeypatch, caplog):
    monkeypatch.setattr(supernode, "POLL", 0.1)
    started = []

    def start(command):
        started.append(subprocess.Popen(["sh", "-c", command]))
        return started[-1]

    supernode._run(lambda: start("exec sleep 600"), lambda: start("sleep 1; exit 1"))
    assert [process.poll() for process in started] == [-signal.SIGTERM, 1]
    assert "starting anew" in caplog.text


@pytest.mark.parametrize(
    ("problem", "is_asked_again"),
    [
        ("database is locked", True),
        ("database or disk is full", True),
        ("no such table: node", False),
    ],
)
def test_who_finds_the_database_busy_or_full_asks_again(problem, is_asked_again):
    """With the middleware in which Flower makes a 500 of everything but what it knows."""
    translator = Middleware(BaseHTTPMiddleware, dispatch=http_error_translator)
    app = fastapi.FastAPI(middleware=[translator, Middleware(ProtobufTranslationMiddleware)])
    app.add_exception_handler(OperationalError, server.later)

    @app.post("/v1/fleet/push-messages")
    def push() -> None:
        raise OperationalError("UPDATE node", {}, Exception(problem))

    headers = {"content-type": "application/protobuf"}
    response = TestClient(app).post("/v1/fleet/push-messages", headers=headers)
    assert (response.status_code in _RETRYABLE_STATUS_CODES) == is_asked_again


def test_a_database_without_room_is_noted_whoever_catches_the_error():
    is_full = threading.Event()
    engine = sqlalchemy.create_engine("sqlite://")
    sqlalchemy.event.listen(engine, "handle_error", partial(server._note_full, is_full))
    with engine.connect() as connection:
        with pytest.raises(OperationalError):
            connection.execute(sqlalchemy.text("SELECT * FROM nothing"))
        assert not is_full.is_set()
        connection.execute(sqlalchemy.text("PRAGMA max_page_count = 2"))
        connection.execute(sqlalchemy.text("CREATE TABLE piece (content BLOB)"))
        with contextlib.suppress(OperationalError):
            connection.execute(sqlalchemy.text("INSERT INTO piece VALUES (zeroblob(100000))"))
    assert is_full.is_set()
