import shutil

import pytest
import torch

from fedseg import config
from fedseg.errors import FedsegError
from fedseg.files import read_json, write_json
from fedseg.models import checkpoints
from fedseg.run.progress import FileProgress, silent
from fedseg.run.result import gather_result
from fedseg.run.uploads import read_upload
from fedseg.storage.hashes import content_hash
from fedseg.workflows.comparison import compare
from fedseg.workflows.redistillation import redistill
from fedseg.workflows.server import run_server
from tests.conftest import train_and_upload


@pytest.fixture
def redone(run, tmp_path, monkeypatch):
    """Redoes the server's part of `run` in a new folder; without a report, which has own tests."""
    monkeypatch.setattr("fedseg.report.write.write_report", lambda *_: None)

    def redo(without=(), joiners=(), out=None, settings=()):
        out = out or tmp_path / "new"
        progress = FileProgress(tmp_path / "p", "server")
        return out, redistill(
            run.path, out, without=without, joiners=joiners, settings=settings, progress=progress
        )

    return redo


def weights_hash(folder):
    return content_hash(checkpoints.load(folder)[0].state_dict())


def test_a_client_that_left_leaves_no_trace(run, federation, redone, tmp_path):
    out, result = redone(without=["two"])
    assert result.status == "completed"
    assert list(result.clients) == ["one"]
    assert not (out / "clients" / "two").exists()
    # The same global model as of a federation in which the client never was.
    shutil.rmtree(run.clients / "two")
    alone = federation.model_copy(update={"clients": federation.clients[:1], "min_clients": 1})
    run_server(run, alone, FileProgress(tmp_path / "p", "server"))
    assert weights_hash(out / "global") == weights_hash(run.global_model)


def test_a_late_client_joins(run, redone, tmp_path):
    late = tmp_path / "late"
    shutil.copytree(run.clients / "two", late)
    (late / "client.json").rename(late / "upload.json")
    out, result = redone(without=["two"], joiners=[late])
    assert list(result.clients) == ["one", "two"]
    assert (out / "clients" / "two" / "client.json").is_file()
    again, _ = redone(out=tmp_path / "again")
    assert weights_hash(out / "global") == weights_hash(again / "global")


def test_other_settings_of_the_servers(run, redone):
    out, _ = redone(settings=["server.distillation.training.iterations=1"])
    saved, changed = config.load(run.config), config.load(out / "config.toml")
    assert config.differing_keys(saved, changed) == ["server.distillation.training.iterations"]
    assert len(read_json(out / "curves" / "global.json")["loss"]) == 1


@pytest.mark.parametrize("setting", ["training.iterations=9", "clients.one.model.arch=unet"])
def test_what_the_clients_did_can_not_be_set_any_more(run, redone, setting):
    with pytest.raises(FedsegError, match="the clients are trained already"):
        redone(settings=[setting])
    assert not (run.path.parent / "new").exists()


def test_called_again_it_goes_on(run, redone):
    out, _ = redone(without=["two"])
    before = (out / "global" / "model.safetensors").stat().st_mtime_ns
    redone(without=["two"])
    assert (out / "global" / "model.safetensors").stat().st_mtime_ns == before


def make_folder(path):
    path.mkdir()
    return path


def test_a_run_whose_clients_all_failed_has_none_left(run, redone):
    shutil.rmtree(run.clients)
    with pytest.raises(FedsegError, match="no client is left"):
        redone()
    with pytest.raises(FedsegError, match="holds no client 'one'; there is none"):
        redone(without=["one"])


def test_what_cannot_be(run, redone, tmp_path):
    with pytest.raises(FedsegError, match="holds no client 'tow'; did you mean 'two'"):
        redone(without=["tow"])
    for without in (["one", "two"], ["two", "one", "two"]):
        with pytest.raises(FedsegError, match="no client is left; keep one, or add one --with"):
            redone(without=without)
    assert not (tmp_path / "new").exists()
    with pytest.raises(
        FedsegError, match=rf"did you mean '{run.clients}/one' or '{run.clients}/two'"
    ):
        redone(joiners=[run.path])
    with pytest.raises(FedsegError, match="no client's checkpoint folder"):
        redone(joiners=[make_folder(tmp_path / "empty")])
    forged = tmp_path / "forged"
    shutil.copytree(run.clients / "two", forged)
    meta = read_json(forged / "client.json")
    write_json(forged / "client.json", meta | {"name": "../../escape"})
    with pytest.raises(FedsegError, match=r"client\.json: malformed metadata: 'name'"):
        redone(joiners=[forged])
    with pytest.raises(FedsegError, match="given twice"):
        redone(joiners=[run.clients / "two"])


def test_clients_that_send_a_part_of_their_models(federation_data, tmp_path, monkeypatch):
    """From training to comparison, and once more with one of them as a late client."""
    model = {"arch": "segformer", "encoder": "mit_b0", "encoder_weights": "none", "train": "lora"}
    monkeypatch.setattr("fedseg.report.write.write_report", lambda *_: None)
    federation = config.parse(config.Federation, federation_data | {"model": model}, tmp_path)
    run = train_and_upload(federation, tmp_path, tmp_path / "run-of-parts")
    run_server(run, federation, FileProgress(run.progress, "server"))
    gather_result(run, federation, "completed", {}, {}).write(run.result)
    states = {
        name: checkpoints.load(folder)[0].state_dict()
        for name, folder in {
            "one": run.clients / "one",
            "two": run.clients / "two",
            "global": run.global_model,
        }.items()
    }
    # What nobody trains is the same in all.
    frozen = "encoder.block1.0.mlp.fc1.weight"
    assert torch.equal(states["one"][frozen], states["two"][frozen])
    assert torch.equal(states["one"][frozen], states["global"][frozen])
    head = "segmentation_head.0.weight"
    assert not torch.equal(states["one"][head], states["two"][head])
    [home] = (tmp_path / "one").glob("checkpoint-*")
    upload = read_upload(home)
    assert upload.bytes < (home / "model.safetensors").stat().st_size / 5
    table = compare([run.path], lambda *_, **__: None)
    assert {"fedavg", "centralized"} <= set(table.rows)
    new = tmp_path / "late"
    redistill(run.path, new, without=["one"], joiners=[home], progress=silent)
    joined = checkpoints.load(new / "clients" / "one")[0].state_dict()
    assert all(torch.equal(joined[name], states["one"][name]) for name in joined)
