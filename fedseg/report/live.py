"""A run while it goes on, as a page on this machine: progress at first, the report in the end."""

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fedseg.config import load
from fedseg.run.folder import Run, find_run
from fedseg.run.progress import read_all

HOST = "127.0.0.1"
PORT = 8765
SECONDS = 3
"""Seconds between two loads of the page."""


@dataclass(frozen=True)
class State:
    """How far somebody is."""

    stage: str
    done: int
    total: int
    loss: float | None


def make_server(folder: Path, port: int = PORT) -> ThreadingHTTPServer:
    """A web server for this machine alone, which shows one run.

    Args:
        folder: the run folder.
        port: to listen on; if it is in use, any that is free.

    Raises:
        FedsegError: the folder holds no run.
    """
    run = find_run(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A page of another site must not read this one under a name of its own.
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            if host not in (HOST, "localhost") or self.path != "/":
                self.send_error(404)
                return
            content = page(run).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError:
        return ThreadingHTTPServer((HOST, 0), Handler)


def page(run: Run) -> str:
    """The run as HTML: its report if it has ended, else how far it is."""
    if run.result.is_file() and run.report.is_file():
        return run.report.read_text(encoding="utf-8")
    from fedseg.report.charts import loss_charts  # these import torch
    from fedseg.report.page import fill_in

    names = [client.name for client in load(run.config).clients]
    charts = loss_charts(run, names)
    content = {
        "name": run.path.name,
        "seconds": SECONDS,
        "workers": {name: _state(content) for name, content in read_all(run.progress).items()},
        "charts": {name: Markup(drawing) for name, drawing in charts.items()},
        "notices": run.notices.read_text(encoding="utf-8") if run.notices.is_file() else "",
    }
    return fill_in("live.html", content)


def _state(content: dict[str, Any]) -> State:
    loss = content.get("loss")
    return State(
        str(content.get("stage", "")),
        int(content.get("done", 0)),
        max(int(content.get("total", 1)), 1),
        loss if isinstance(loss, float) else None,
    )
