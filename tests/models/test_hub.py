"""Checkpoints on the hub: the real client against a stand-in of its server."""

import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from fedseg.config import Client, Model
from fedseg.errors import FedsegError, PublicError
from fedseg.models.adapters import base_of
from fedseg.models.build import build, model_inputs, seeded_build
from fedseg.models.encoder_weights import weights_file, weights_source
from fedseg.models.locations import Address, address
from fedseg.participants.node import Node, OwnModel, train_task
from tests.conftest import TINY_MODEL
from tests.models.hub_server import COMMIT, serving

TOKEN = "hf_" + "secret" * 5


@pytest.fixture(scope="module")
def hub():
    with serving() as hub:
        yield hub


@pytest.fixture
def use_hub(hub, tmp_path, monkeypatch):
    """Makes the hub's client use that hub, on a network or without one."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))

    def call(url=hub.url, offline=False):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        weights_file.cache_clear()

    return call


@pytest.fixture
def command(use_hub, run_cli):
    """Runs `fedseg` as somebody who uses that hub."""

    def call(*arguments, **of_the_hub):
        use_hub(**of_the_hub)
        done = run_cli(*arguments)
        assert TOKEN not in done.out + done.err
        assert "Traceback" not in done.err
        return done

    return call


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("hf://me/city", Address("me/city", None)),
        (Path("hf://me/city"), Address("me/city", None)),
        ("hf://me/city@v1", Address("me/city", "v1")),
        ("hf://me/city@refs/pr/1", Address("me/city", "refs/pr/1")),
        ("runs/hf/global", None),
        (Path("/data/hf:/x"), None),
    ],
)
def test_what_is_an_address(given, expected):
    assert address(given) == expected


def test_a_checkpoint_goes_to_the_hub_and_comes_back(hub, command, finished, tmp_path):
    folder = finished / "runs" / "embedded" / "global"
    pushed = command("push", folder, "me/city")
    assert pushed.returncode == 0, pushed.err
    assert f"me/city/commit/{COMMIT}" in pushed.out
    assert hub.tokens == {f"Bearer {TOKEN}"}
    sent = hub.files["me/city"]
    assert sent["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert set(sent) == {
        "README.md",
        "config.json",
        "model.safetensors",
        "fedseg.json",
        "made_from.json",
    }
    assert TOKEN.encode() not in b"".join(sent.values())
    assert str(finished).encode() not in b"".join(sent.values())

    photo = finished / "photo.jpg"
    here = command("predict", folder, photo, "--out", tmp_path / "here")
    there = command("predict", "hf://me/city", photo, "--out", tmp_path / "there")
    assert (here.returncode, there.returncode) == (0, 0), there.err
    names = ("photo_trainId.png", "photo_overlay.jpg")
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert f"hf://me/city is commit {COMMIT}, weights sha256" in there.err.replace("\n", " ")

    # Without a network the cache answers.
    offline = command("predict", "hf://me/city", photo, "--out", tmp_path / "off", offline=True)
    assert offline.returncode == 0, offline.err
    where = ["--dataset", "folder", "--root", finished / "data" / "stormnight"]
    scored = command("evaluate", "hf://me/city", folder, *where, offline=True)
    assert scored.returncode == 0, scored.err
    assert "hf://me/city" in scored.out


def test_what_the_hub_does_not_have(hub, command, finished, tmp_path):
    photo, out = finished / "photo.jpg", tmp_path / "out"
    hub.files["me/other"] = {"README.md": b"nothing"}
    hub.files["me/pickled"] = {"pytorch_model.bin": b"evil", "config.json": b"{}"}
    for where, reason in (
        ("hf://me/nothing", "no such repository"),
        ("hf://me/other@v9", "no such revision"),
        ("hf://me/other", "has no model.safetensors"),
        ("hf://me/pickled", "has no model.safetensors"),
        ("hf://not/a/name", "no such repository"),
    ):
        done = command("predict", where, photo, "--out", out)
        assert done.returncode == 2, where
        assert reason in " ".join(done.err.split()), done.err
    assert not list((tmp_path / "hf").rglob("*.bin"))
    gone = command("predict", "hf://me/new", photo, "--out", out, offline=True)
    assert gone.returncode == 2
    assert "its cache does not hold" in " ".join(gone.err.split())


def test_encoder_weights_of_a_repository(hub, use_hub, tmp_path):
    """A federation may start from any repository; what is not trained is named by its commit."""
    file = tmp_path / "encoder.safetensors"
    encoder = seeded_build(Model(**TINY_MODEL), 7).encoder.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in encoder.items()}, file)
    hub.files["org/encoder"] = {"model.safetensors": file.read_bytes(), "weights.bin": b"evil"}
    here = Model(**TINY_MODEL | {"encoder_weights": str(file)}, train="decoder")
    there = here.model_copy(update={"encoder_weights": "hf://org/encoder@main"})
    for offline in (False, True):  # the second time from the cache
        use_hub(offline=offline)
        ours, theirs = build(here).encoder.state_dict(), build(there).encoder.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert weights_source(there) == f"org/encoder@{COMMIT}"
    assert weights_source(here) == "file"
    assert base_of(there, 0).sha256 == base_of(here, 0).sha256
    assert base_of(there, 0).weights == f"org/encoder@{COMMIT}"
    hashes = [model_inputs(model)["encoder_weights"] for model in (here, there)]
    assert hashes[0] == hashes[1]
    assert not list((tmp_path / "hf").rglob("*.bin"))
    use_hub()
    with pytest.raises(FedsegError, match="no such repository"):
        build(here.model_copy(update={"encoder_weights": "hf://org/nothing"}))


def test_a_node_downloads_only_what_its_owner_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where its state is kept
    address = "hf://org/encoder@v1"
    model = Model(**TINY_MODEL | {"encoder_weights": address})
    client = Client(name="one", dataset="camvid", model=model)
    task = train_task(client, 0, 60.0)
    assert task.model.encoder_weights == address
    node = Node(name="one", role="trainer", dataset="camvid")
    with pytest.raises(PublicError, match=f"starts from the encoder weights '{address}'"):
        node.client(task)
    agreed = node.model_copy(update={"model": OwnModel(encoder_weights=address)})
    assert agreed.client(task).model.encoder_weights == address


def test_what_cannot_be_published(hub, command, finished, tmp_path):
    folder = tmp_path / "global"
    shutil.copytree(finished / "runs" / "embedded" / "global", folder)
    (folder / "config.json").write_text("{}")
    done = command("push", folder, "me/damaged")
    assert done.returncode == 2
    assert "me/damaged" not in hub.files
    whole = finished / "runs" / "embedded" / "global"
    done = command("push", whole, "no name")
    assert done.returncode == 2
    assert "give OWNER/NAME" in " ".join(done.err.split())
    done = command("push", whole, "me/x", url="http://127.0.0.1:1")
    assert done.returncode == 2
    assert "can't be sent" in " ".join(done.err.split())
