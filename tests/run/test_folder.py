import os
import stat

import pytest
import tomli_w

from fedseg import config
from fedseg.config import Federation
from fedseg.errors import FedsegError
from fedseg.run.folder import free_folder, in_use, open_run
from fedseg.run.progress import FileProgress
from fedseg.storage.audit import AUDIT, AuditLog
from fedseg.workflows.server import run_server
from tests.conftest import train_and_upload


def make_something(run):
    (run.clients / "one").mkdir(parents=True)
    (run.clients / "one" / "client.json").write_text("{}")


def test_the_same_federation_goes_on_and_another_is_refused(federation, tmp_path):
    run = open_run(tmp_path / "run", federation)
    make_something(run)
    assert open_run(tmp_path / "run", federation).path == run.path
    other = federation.model_copy(update={"seed": 99})
    with pytest.raises(FedsegError, match=r"run with another configuration \(seed\); choose"):
        open_run(tmp_path / "run", other)
    assert config.load(run.config) == federation


def test_a_folder_in_which_nothing_was_made_is_used_anew(federation, tmp_path):
    run = open_run(tmp_path / "run", federation)
    for record in (run.log, run.sources, run.notices, run.result, run.report):
        record.write_text("{}")
    for folder in (run.clients, run.curves, run.progress, run.state / "flower"):
        folder.mkdir(parents=True)
    (run.progress / "one.json").write_text("{}")
    (run.state / "flower" / "config.toml").write_text("")
    run.audit.add("refused")
    AuditLog(run.state / "one" / AUDIT).add("asked to train")
    other = federation.model_copy(update={"seed": 99})
    assert free_folder(run.path, other) == run.path
    assert config.load(open_run(run.path, other).config) == other
    assert not any(record.exists() for record in (run.sources, run.notices, run.result, run.report))
    assert run.audit.path.is_file()


@pytest.mark.parametrize(
    "product",
    [
        "clients/one/model.safetensors",
        "state/one/training.safetensors",
        "inconsistency.json",
        "global/config.json",
        "baselines/fedavg/config.json",
        "curves/one.json",
    ],
)
def test_a_folder_with_any_product_is_kept(federation, tmp_path, product):
    run = open_run(tmp_path / "run", federation)
    (run.path / product).parent.mkdir(parents=True, exist_ok=True)
    (run.path / product).touch()
    with pytest.raises(FedsegError, match="another configuration"):
        open_run(run.path, federation.model_copy(update={"seed": 99}))


def test_a_folder_that_another_process_uses_is_left_to_it(federation, tmp_path):
    run = open_run(tmp_path / "run", federation)
    other = federation.model_copy(update={"seed": 99})
    with in_use(run):
        with pytest.raises(FedsegError, match="is going on in it; choose another --out"):
            open_run(run.path, other)
        assert free_folder(run.path, other) == tmp_path / "run-2"
        assert open_run(run.path, federation).path == run.path
    assert free_folder(run.path, other) == run.path


def test_a_configuration_that_cannot_be_read_is_replaced_if_nothing_was_made(federation, tmp_path):
    run = open_run(tmp_path / "run", federation)
    run.config.write_text("key_of_another_version = 1")
    assert config.load(open_run(run.path, federation).config) == federation
    run.config.write_text("key_of_another_version = 1")
    make_something(run)
    with pytest.raises(FedsegError, match="unknown key 'key_of_another_version'"):
        open_run(run.path, federation)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("model.encoder=resnet18", "model.encoder"),
        ("training.iterations=9", "training.iterations"),
        ("protocol.height=64", "protocol.height"),
        ("clients.one.training.iterations=9", "clients.one.training.iterations"),
        ("server.distillation.training.iterations=9", "server.distillation.training.iterations"),
    ],
)
def test_only_the_keys_that_were_given_are_named(federation_data, tmp_path, setting, expected):
    (tmp_path / "federation.toml").write_text(tomli_w.dumps(federation_data))
    run = open_run(tmp_path / "run", config.load(tmp_path / "federation.toml"))
    make_something(run)
    other = config.load(tmp_path / "federation.toml", settings=[setting])
    with pytest.raises(FedsegError, match=rf"configuration \({expected}\);"):
        open_run(run.path, other)


def test_a_client_that_no_longer_inherits_is_named_too(federation_data):
    own = {**federation_data["clients"][0], "training": {"iterations": 5}}
    one = Federation.model_validate(federation_data)
    data = federation_data | {"training": federation_data["training"] | {"iterations": 9}}
    other = Federation.model_validate(data | {"clients": [own, federation_data["clients"][1]]})
    keys = ["clients.one.training.iterations", "training.iterations"]
    assert config.differing_keys(one, other) == keys


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
    assert {"model.safetensors", "audit.jsonl", "inconsistency.json"} <= {
        path.name for path in paths
    }
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640), path
