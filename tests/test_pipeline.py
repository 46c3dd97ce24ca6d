import shutil

import pytest

from fedseg import checkpoints, pipeline
from fedseg.client import read_upload, train_client
from fedseg.errors import RunFailed
from fedseg.files import read_json
from fedseg.pipeline import run_server
from fedseg.progress import Progress
from fedseg.result import write_result
from fedseg.runs import open_run
from fedseg.uploads import store


@pytest.fixture
def run(federation, tmp_path):
    """A run folder with both clients' uploads in it."""
    run = open_run(tmp_path / "run", federation)
    for client in federation.clients:
        folder = train_client(
            client, 0, tmp_path / client.name, Progress(run.progress, client.name)
        )
        store(run, read_upload(folder), checkpoints.load(folder)[0].state_dict())
    return run


def finish(run, federation):
    run_server(run, federation, Progress(run.progress, "server"))
    return checkpoints.content_hash(checkpoints.load(run.global_model)[0].state_dict())


def test_from_uploads_to_scores(run, federation):
    finish(run, federation)
    result = write_result(run, federation, "completed", {}, {})
    assert result == read_json(run.result)
    assert set(result["evaluation"]) == {"one", "two", "global"}
    score = read_json(run.score("global", "held-out"))
    assert sum(map(sum, score["confusion"])) == 4 * 48 * 80
    assert result["clients"]["two"]["coverage"] == [0, 2, 9, 10, 13]
    # vegetation (8) is known to client one alone, terrain (9) to client two: no pair can disagree
    assert result["inconsistency"]["vegetation"] is None
    assert result["inconsistency"]["terrain"] is None
    assert checkpoints.load_info(run.global_model).coverage == (0, 2, 8, 9, 10, 13)
    assert not run.targets.exists()


def test_interrupted_anywhere_it_ends_the_same(run, federation, monkeypatch):
    whole = finish(run, federation)
    scores = run.score("global", "held-out").read_text()

    real = pipeline.predictions.write_target

    def killed(folder, index, target):
        if index == 2:
            raise KeyboardInterrupt
        real(folder, index, target)

    shutil.rmtree(run.global_model)
    shutil.rmtree(run.evaluation)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.predictions, "write_target", killed)
        with pytest.raises(KeyboardInterrupt):
            finish(run, federation)
    assert finish(run, federation) == whole
    assert run.score("global", "held-out").read_text() == scores


def test_what_is_done_is_not_done_again(run, federation):
    finish(run, federation)
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*.safetensors")}
    finish(run, federation)
    assert before == {p: p.stat().st_mtime_ns for p in run.path.rglob("*.safetensors")}


def test_too_few_clients(run, federation):
    stricter = federation.model_copy(update={"min_clients": 2})
    shutil.rmtree(run.clients / "two")
    with pytest.raises(RunFailed, match="1 good uploads, but min_clients = 2"):
        run_server(run, stricter, Progress(run.progress, "server"))
