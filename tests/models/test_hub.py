"""Checkpoints on the hub: the real client against a stand-in of its server."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedseg.models.hub import Address, address
from tests.models.hub_server import COMMIT, serving

TOKEN = "hf_" + "secret" * 5


@pytest.fixture(scope="module")
def hub():
    with serving() as hub:
        yield hub


@pytest.fixture
def command(hub, tmp_path):
    """Runs `fedseg` as somebody who uses that hub."""

    def call(*arguments, **environment):
        own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN}
        done = subprocess.run(
            [sys.executable, "-m", "fedseg", *map(str, arguments)],
            env={**os.environ, **own, "HF_HUB_DISABLE_XET": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert TOKEN not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
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
    assert pushed.returncode == 0, pushed.stderr
    assert f"me/city/commit/{COMMIT}" in pushed.stdout
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
    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    names = ("photo_trainId.png", "photo_overlay.jpg")
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    assert f"hf://me/city is commit {COMMIT}, weights sha256" in there.stderr.replace("\n", " ")

    # Without a network the cache answers.
    offline = command(
        "predict", "hf://me/city", photo, "--out", tmp_path / "off", HF_HUB_OFFLINE="1"
    )
    assert offline.returncode == 0, offline.stderr
    where = ["--dataset", "folder", "--root", finished / "data" / "stormnight"]
    scored = command("evaluate", "hf://me/city", folder, *where, HF_HUB_OFFLINE="1")
    assert scored.returncode == 0, scored.stderr
    assert "hf://me/city" in scored.stdout


def test_what_the_hub_does_not_have(hub, command, finished, tmp_path):
    photo, out = finished / "photo.jpg", tmp_path / "out"
    hub.files["me/other"] = {"README.md": b"nothing"}
    hub.files["me/pickled"] = {"pytorch_model.bin": b"evil", "config.json": b"{}"}
    for where, reason in (
        ("hf://me/nothing", "no such repository"),
        ("hf://me/other@v9", "no such revision"),
        ("hf://me/other", "is no checkpoint of fedseg's"),
        ("hf://me/pickled", "is no checkpoint of fedseg's"),
        ("hf://not/a/name", "no such repository"),
    ):
        done = command("predict", where, photo, "--out", out)
        assert done.returncode == 2, where
        assert reason in " ".join(done.stderr.split()), done.stderr
    assert not list((tmp_path / "hf").rglob("*.bin"))
    gone = command("predict", "hf://me/new", photo, "--out", out, HF_HUB_OFFLINE="1")
    assert gone.returncode == 2
    assert "its cache does not hold" in " ".join(gone.stderr.split())


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
    assert "give OWNER/NAME" in " ".join(done.stderr.split())
    done = command("push", whole, "me/x", HF_ENDPOINT="http://127.0.0.1:1")
    assert done.returncode == 2
    assert "can't be sent" in " ".join(done.stderr.split())
