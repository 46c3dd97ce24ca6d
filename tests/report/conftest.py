"""A finished run with something of everything: a failure, generated images, a set that is gone."""

import shutil

import pytest

from fedseg import config
from fedseg.config import Federation
from fedseg.report.write import conclude_run
from fedseg.run.folder import Run
from fedseg.run.progress import FileProgress
from fedseg.run.result import gather_result
from fedseg.workflows.server import run_server
from tests.conftest import make_world_in, two_clients

REASON = "<b>/srv/late</b>: no such folder"


@pytest.fixture(scope="session")
def finished(tmp_path_factory, trained):
    """Its run folder; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(trained / "run", folder / "run")
    data, run = two_clients(folder), Run(folder / "run")
    vanished = make_world_in(folder, "vanished", seed=5)
    data["clients"].append({"name": "late", "dataset": "folder", "root": "/srv/late"})
    data["evaluation"].append({"name": "vanished", "dataset": "folder", "root": str(vanished)})
    data["server"]["augmentation"] = {"generator": "mix", "images": 6, "unstable_classes": 19}
    data["server"]["distillation"] = {"votes": "consistency"}
    federation = Federation.model_validate(data)
    run.config.write_text(config.dump(federation))
    progress = FileProgress(run.progress, "server")
    seconds = {"clients": 75.0} | run_server(run, federation, progress)
    shutil.rmtree(vanished)
    result = gather_result(run, federation, "completed", {"late": REASON}, seconds)
    conclude_run(run, federation, result, progress)
    return run


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of it."""
    return Run(shutil.copytree(finished.path, tmp_path / "copied"))
