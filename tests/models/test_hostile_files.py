"""Checkpoints and weights that others made: pipes in place of files, and promises of giants."""

import json
import os
import signal
import socket

import pytest
import torch
from safetensors.torch import save_file

import fedseg
from fedseg.config import Model, Training
from fedseg.errors import FedsegError
from fedseg.files import open_regular, read_json, write_json
from fedseg.models import checkpoints
from fedseg.models.build import build, outline
from fedseg.models.encoder_weights import load_encoder
from fedseg.models.exported import open_model
from fedseg.models.weight_files import WeightFile
from tests.conftest import TINY_MODEL
from tests.memory import little_memory

MODEL = Model(**TINY_MODEL)
WIDE = {"pyramid_channels": 2048, "segmentation_channels": 2048}
"""Of a decoder of 1 GB."""
GIANTS = [
    {"encoder": "mit_b0", "decoder": WIDE},
    {"decoder": WIDE},
    {"encoder": "resnext101_32x48d"},  # 3.3 GB
]


@pytest.fixture(autouse=True)
def _no_hang():
    """End a test that waits for a pipe."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def foreign(tmp_path):
    """A checkpoint folder that somebody else made: nothing says what its files were."""
    folder = tmp_path / "foreign"
    info = checkpoints.describe(MODEL, Training(crop=(64, 96)))
    checkpoints.save(folder, build(MODEL), info)
    (folder / "made_from.json").unlink()
    return folder


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def listener(path):
    os.chdir(path.parent)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)


def folder_of_that_name(path):
    path.mkdir()


@pytest.mark.parametrize("make", [pipe, device, listener, folder_of_that_name])
@pytest.mark.parametrize("name", ["fedseg.json", "model.safetensors"])
def test_what_is_no_file_is_refused_at_once(foreign, run_cli, tmp_path, monkeypatch, name, make):
    monkeypatch.chdir(tmp_path)
    (foreign / name).unlink()
    make(foreign / name)
    for load in (fedseg.load_checkpoint, open_model):
        with pytest.raises(FedsegError, match=name.replace(".", r"\.")):
            load(foreign) if load is fedseg.load_checkpoint else load(foreign, "cpu")
    if name == "model.safetensors":
        for load in (WeightFile, lambda path: load_encoder(outline(MODEL).encoder, path)):
            with pytest.raises(FedsegError, match=r"is no regular file|can't be read|no such file"):
                load(foreign / name)
    ended = run_cli("export", foreign, "--out", tmp_path / "model.onnx")
    assert ended.returncode == 2
    assert "Traceback" not in ended.err


def test_a_record_that_is_a_pipe(foreign):
    for name in ("made_from.json", "upload.json", "client.json"):
        pipe(foreign / name)
    checkpoints.load(foreign)
    with pytest.raises(OSError, match="is no regular file"):
        open_regular(foreign / "made_from.json")
    with pytest.raises(FedsegError):
        fedseg.distill(foreign, foreign.with_name("out"), joiners=[foreign])


@pytest.mark.parametrize("giant", GIANTS, ids=lambda giant: giant.get("encoder", "wide"))
def test_a_giant_that_is_only_described_takes_no_memory(
    foreign, run_cli, make_world, tmp_path, giant
):
    root = make_world("city")
    write_json(foreign / "fedseg.json", read_json(foreign / "fedseg.json") | giant)
    with little_memory():
        with pytest.raises(FedsegError, match=r"lacks tensor|unknown tensor|but must be"):
            open_model(foreign, "cpu")
        for command in (
            ["evaluate", foreign, "--dataset", "folder", "--root", root],
            ["predict", foreign, root / "images", "--out", tmp_path / "out"],
            ["export", foreign, "--out", tmp_path / "model.onnx"],
        ):
            ended = run_cli(*command)
            assert ended.returncode == 2
            assert "Traceback" not in ended.err


def write_header(path, header, data=b""):
    content = json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)


def test_a_file_that_announces_what_no_model_has(tmp_path):
    path = tmp_path / "weights.safetensors"
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    with little_memory():
        path.write_bytes((2**23 + 1).to_bytes(8, "little"))
        with path.open("ab") as file:
            file.truncate(2**24)
        with pytest.raises(FedsegError, match="its header has more than 8388608 bytes"):
            WeightFile(path)
        for name in ("a." * 40 + "b", "a" * 501):
            write_header(path, {name: entry})
            with pytest.raises(FedsegError, match="the name of a tensor is too long"):
                WeightFile(path)
        write_header(path, {"a": {**entry, "dtype": "F8_E4M3"}})
        with pytest.raises(FedsegError, match="F8_E4M3"):
            WeightFile(path)
        size = 2**33  # a sparse file: it takes no room on the disk
        write_header(path, {"a": {"dtype": "F32", "shape": [2**31], "data_offsets": [0, size]}})
        with path.open("ab") as file:
            file.truncate(path.stat().st_size + size)
        with pytest.raises(FedsegError, match="tensor 'a' holds 2147483648 numbers"):
            WeightFile(path)


def test_large_weights_of_something_else_are_not_read(tmp_path):
    """A sparse file of the right names and the wrong shapes, for a checkpoint and an encoder."""
    names = [*outline(MODEL).encoder.state_dict()]
    size = 4 * 2**28
    header = {
        name: {"dtype": "F32", "shape": [2**28], "data_offsets": [size * n, size * (n + 1)]}
        for n, name in enumerate(names)
    }
    path = tmp_path / "weights.safetensors"
    write_header(path, header)
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + size * len(names))
    with little_memory(), pytest.raises(FedsegError, match="of another shape"):
        load_encoder(build(MODEL).encoder, path)


def test_a_file_is_read_that_was_opened(tmp_path):
    """Another one in its place does not matter."""
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.ones(3)}, path)
    weights = WeightFile(path)
    path.unlink()
    pipe(path)
    assert weights["a"].tolist() == [1, 1, 1]
