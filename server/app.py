"""The Flower ServerApp.

It opens the run, collects the uploads, runs the server's part, and has the evaluators score the
global model.
"""

import logging

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from fedseg.config import Federation
from fedseg.errors import explain_error
from fedseg.files import remove_unfinished
from fedseg.flower.context import federation_of, run_of
from fedseg.flower.supervisor import exit_with_parent
from fedseg.machine import lean_memory
from fedseg.planning.preflight import check_server
from fedseg.report.write import conclude_run
from fedseg.run.clients import discard_damaged
from fedseg.run.folder import Run, in_use, open_run
from fedseg.run.progress import FileProgress
from fedseg.run.result import gather_result
from fedseg.storage.provenance import notices
from fedseg.workflows.server import run_server
from server.strategy import OneShot

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run a federation and write its result.json, also if it fails."""
    exit_with_parent()
    federation = federation_of(context)
    run = open_run(run_of(context).path, federation)
    with in_use(run):
        _run(grid, run, federation)


def _run(grid: Grid, run: Run, federation: Federation) -> None:
    run.result.unlink(missing_ok=True)
    for folder in (run.path, run.clients, run.state):
        remove_unfinished(folder)
    notices.addHandler(logging.FileHandler(run.notices, encoding="utf-8"))
    discard_damaged(run, federation)
    strategy = OneShot(run, federation)
    notify = FileProgress(run.progress, "server")
    seconds: dict[str, float] = {}
    try:
        check_server(federation, notify)
        with lean_memory():  # uploads are large
            strategy.start(grid, ArrayRecord(), num_rounds=1, timeout=federation.client_timeout)
            if federation.cross_site_evaluation:
                strategy.cross_site_evaluate(grid, federation.client_timeout)
        seconds = {"clients": strategy.seconds}
        seconds |= run_server(run, federation, notify)
        if federation.evaluators:
            strategy.evaluate(grid, federation.client_timeout)
    except Exception as error:
        reason = explain_error(error)
        result = gather_result(run, federation, "failed", strategy.failures, seconds, reason)
        conclude_run(run, federation, result, notify)
        raise
    result = gather_result(run, federation, "completed", strategy.failures, seconds)
    conclude_run(run, federation, result, notify)
