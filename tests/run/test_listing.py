import shutil

import pytest

from fedseg.errors import FedsegError
from fedseg.run.folder import Run
from fedseg.run.listing import list_runs
from fedseg.run.records import Result


@pytest.fixture
def runs(finished, tmp_path):
    for name in ("a/first", "b", "c", "d"):
        shutil.copytree(finished / "runs" / "embedded", tmp_path / name)
    Run(tmp_path / "b").result.unlink()
    result = Result.read(Run(tmp_path / "c").result)
    result.model_copy(update={"status": "failed", "evaluation": {}}).write(
        Run(tmp_path / "c").result
    )
    Run(tmp_path / "d").config.write_text("nonsense")
    (tmp_path / "e").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


def test_each_run_with_status_seed_and_scores(runs):
    found = {str(run.path.relative_to(runs)): run for run in list_runs(runs)}
    assert {name: run.status for name, run in found.items()} == {
        "a/first": "completed",
        "b": "unfinished",
        "c": "failed",
        "d": "unreadable",
    }
    assert [run.seed for run in found.values()] == [0, 0, 0, None]
    assert [run.clients for run in found.values()] == [3, 3, 3, 0]
    expected = Result.read(Run(runs / "a" / "first").result).evaluation["global"]["stormnight"].miou
    assert found["a/first"].scores == {"stormnight": expected}
    assert found["c"].scores == {}


def test_a_run_folder_itself(runs):
    [run] = list_runs(runs / "b")
    assert run.path == runs / "b"


def test_no_folder(tmp_path):
    with pytest.raises(FedsegError, match="no such folder"):
        list_runs(tmp_path / "none")
