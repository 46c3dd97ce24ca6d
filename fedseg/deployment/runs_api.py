"""What the server's owner asks of it besides what Flower offers: to lay a run down and fetch it.

Flower returns nothing of a run but its log, so run folders are served here, on the port that
is for the server's own machine.
"""

import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

import fastapi
from fastapi import Body, HTTPException
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from fedseg import config
from fedseg.config import Federation
from fedseg.errors import FedsegError
from fedseg.files import read_json
from fedseg.run.folder import Run, open_run
from fedseg.run.progress import read_all

RESULTS = (
    "config.toml",
    "result.json",
    "audit.jsonl",
    "report.html",
    "inconsistency.json",
    "cross_site_evaluation",
    "evaluation",
    "global",
)
"""What is fetched; the clients' models and the working files stay on the server."""

RunName = Annotated[str, fastapi.Path(pattern=config.NAME_PATTERN)]


def runs_router(runs: Path) -> fastapi.APIRouter:
    """Routes over a folder of run folders."""
    router = fastapi.APIRouter(prefix="/fedseg/runs")

    @router.put("/{name}")
    def create_run(name: RunName, federation: Annotated[str, Body(embed=True)]) -> dict[str, str]:
        """Make a run folder, or find the one of the same federation; says what to start it with."""
        try:
            data = config.parse_toml(federation, origin := Path("federation"))
            content = config.parse(Federation, data, origin)
            run = open_run(runs / name, content)
        except FedsegError as error:
            raise HTTPException(409, str(error)) from None
        return {"federation": str(run.config), "out": str(run.path)}

    @router.get("/{name}")
    def look_at_run(name: RunName) -> dict[str, Any]:
        """How far everyone is, and result.json once it is there."""
        run = Run(runs / name)
        result = read_json(run.result) if run.result.is_file() else None
        return {"progress": read_all(run.progress), "result": result}

    @router.get("/{name}/results")
    def fetch_run(name: RunName) -> FileResponse:
        """A zip archive of what is worth fetching."""
        run = Run(runs / name)
        with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as file:
            with zipfile.ZipFile(file, "w") as archive:
                for part in (run.path / part for part in RESULTS):
                    for found in (part, *part.rglob("*")):
                        if found.is_file():
                            archive.write(found, found.relative_to(run.path))
            path = Path(file.name)
        return FileResponse(path, background=BackgroundTask(path.unlink))

    return router
