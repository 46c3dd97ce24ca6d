import os
import stat

import pytest

from fedseg.errors import FedsegError
from fedseg.run.folder import open_run
from fedseg.run.progress import FileProgress
from fedseg.workflows.server_stages import run_server
from tests.conftest import train_and_upload


def test_the_same_federation_goes_on_and_another_is_refused(federation, tmp_path):
    run = open_run(tmp_path / "run", federation)
    assert open_run(tmp_path / "run", federation).path == run.path
    other = federation.model_copy(update={"seed": 99})
    with pytest.raises(FedsegError, match="already holds a run with another configuration"):
        open_run(tmp_path / "run", other)


def test_a_folder_that_holds_something_else_is_left_alone(federation, tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(FedsegError, match="is not empty and holds no run"):
        open_run(tmp_path, federation)
    with pytest.raises(FedsegError, match="is a file"):
        open_run(tmp_path / "thesis.tex", federation)


def test_everything_in_a_run_folder_follows_the_umask(federation, tmp_path):
    before = os.umask(0o027)
    try:
        run = train_and_upload(federation, tmp_path)
        run_server(run, federation, FileProgress(run.progress, "server"))
    finally:
        os.umask(before)
    paths = list(run.path.rglob("*"))
    assert {"model.safetensors", "audit.jsonl", "inconsistency.png"} <= {
        path.name for path in paths
    }
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640), path
