import shutil

import numpy as np
import pytest
from PIL import Image

from fedseg.config import Federation
from fedseg.errors import FedsegError
from fedseg.files import read_json
from fedseg.planning.sources import check_sources, update_sources
from fedseg.report.write import report_on
from fedseg.run.folder import open_run
from fedseg.run.progress import FileProgress
from fedseg.run.result import gather_result
from fedseg.storage.provenance import open_product
from fedseg.workflows.comparison import compare
from fedseg.workflows.server import run_server
from tests.conftest import train_and_upload, two_clients


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A federation with a run like one of `fedseg simulate`, with what it was compared with."""
    folder = tmp_path_factory.mktemp("sources") / "world"
    federation = Federation.model_validate(two_clients(folder))
    run = open_run(folder / "run", federation)
    assert update_sources(run, federation) == []
    train_and_upload(federation, folder)
    run_server(run, federation, FileProgress(run.progress, "server"))
    gather_result(run, federation, "completed", {}, {}).write(run.result)
    compare([run.path], lambda *_, **__: None)
    shutil.copytree(folder, folder.with_name("saved"))
    return federation, run


@pytest.fixture
def federation(original):
    """The same federation, whose data is as it was at first."""
    federation, run = original
    world = run.path.parent
    shutil.rmtree(world)
    shutil.copytree(world.with_name("saved"), world)
    return federation


@pytest.fixture
def completed(original, federation):
    """The same run, as it was at first."""
    return original[1]


def relabel(root):
    """Turn the label of the first image by 180 degrees."""
    path = root / "labels" / "0.png"
    Image.fromarray(np.asarray(Image.open(path))[::-1]).save(path)


def scored(run):
    return {path.name.split("@")[0] for path in run.evaluation.iterdir()}


def test_nothing_changed_and_nothing_is_discarded(completed, federation):
    before = {p: p.stat().st_mtime_ns for p in completed.path.rglob("*") if p.is_file()}
    assert update_sources(completed, federation) == []
    check_sources(completed, federation)
    assert before == {p: p.stat().st_mtime_ns for p in completed.path.rglob("*") if p.is_file()}


def test_a_client_whose_labels_changed_is_trained_again(completed, federation, caplog, tmp_path):
    relabel(federation.clients[0].root)
    with pytest.raises(FedsegError, match="the data of client 'one' changed"):
        compare([completed.path], lambda *_, **__: None)
    assert update_sources(completed, federation) == ["client 'one'"]
    assert "the data of client 'one' changed" in caplog.text
    assert not completed.result.exists()
    assert not (completed.clients / "one").exists()
    assert (completed.clients / "two").is_dir()
    assert update_sources(completed, federation) == []  # once is enough
    train_and_upload(federation, tmp_path / "again", completed.path)
    run_server(completed, federation, FileProgress(completed.progress, "server"))
    # What was compared with the old global model, or trained on the old labels, is gone.
    assert scored(completed) == {"one", "two", "global"}
    assert not any(completed.baseline(name).exists() for name in ("fedavg", "feddf", "centralized"))


def test_an_image_more_at_the_server_makes_a_new_global_model(completed, federation):
    before = (completed.global_model / "model.safetensors").read_bytes()
    client = (completed.clients / "one" / "model.safetensors").stat().st_mtime_ns
    images = federation.server.root / "images"
    Image.open(images / "0.png").rotate(180).save(images / "00.png")
    with pytest.raises(FedsegError, match="the data of server changed"):
        check_sources(completed, federation)
    assert update_sources(completed, federation) == ["server"]
    run_server(completed, federation, FileProgress(completed.progress, "server"))
    assert (completed.global_model / "model.safetensors").read_bytes() != before
    assert (completed.clients / "one" / "model.safetensors").stat().st_mtime_ns == client
    assert scored(completed) == {"one", "two", "centralized", "global"}


def test_one_table_has_scores_of_one_set_of_labels(completed, federation, caplog):
    for path in (federation.evaluation[0].root / "labels").iterdir():
        Image.fromarray(np.full((48, 80), 4, np.uint8)).save(path)
    report_on(completed.path, None, lambda *_, **__: None)
    assert "the data of 'held-out' changed after the models were scored" in caplog.text
    assert update_sources(completed, federation) == ["evaluation 'held-out'"]
    result = gather_result(completed, federation, "completed", {}, {})
    result.write(completed.result)
    compare([completed.path], lambda *_, **__: None)
    assert len(scored(completed)) == 10  # two clients, as they are and alone, and six others
    for path in completed.evaluation.iterdir():
        confusion = np.array(open_product(path)[0]["confusion"])
        assert np.flatnonzero(confusion.sum(axis=1)).tolist() == [4]
    result = read_json(completed.result)["evaluation"]
    assert all(row["held-out"]["iou"]["road"] in (0, None) for row in result.values())


def test_clients_of_unknown_origin_are_trained_again(completed, federation):
    completed.sources.unlink()
    assert "client 'one'" in update_sources(completed, federation)
    assert not completed.clients.exists() or not any(completed.clients.iterdir())


def test_other_encoder_weights_in_the_same_file_are_noticed(completed, federation, tmp_path):
    path = tmp_path / "encoder.safetensors"
    model = federation.clients[0].model.model_copy(update={"encoder_weights": str(path)})
    client = federation.clients[0].model_copy(update={"model": model})
    changed = federation.model_copy(update={"clients": [client, federation.clients[1]]})
    path.write_bytes(b"one")
    update_sources(completed, changed)
    path.write_bytes(b"two")
    assert update_sources(completed, changed) == ["client 'one'"]


@pytest.mark.parametrize("name", ["model.safetensors", "client.json", "fedseg.json"])
def test_a_client_that_was_damaged_is_not_distilled(completed, federation, name):
    path = completed.clients / "one" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(FedsegError, match=name.replace(".", r"\.")):
        run_server(completed, federation, FileProgress(completed.progress, "server"))


def test_another_clients_folder_is_not_distilled(completed, federation):
    shutil.rmtree(completed.clients / "one")
    shutil.copytree(completed.clients / "two", completed.clients / "one")
    with pytest.raises(FedsegError, match="holds the model of client 'two', not of 'one'"):
        run_server(completed, federation, FileProgress(completed.progress, "server"))
