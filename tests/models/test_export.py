"""Models as files of other programs, beside the checkpoints that they come from."""

import sys
from copy import deepcopy

import numpy as np
import onnx
import onnxruntime
import pytest
import segmentation_models_pytorch as smp
import torch
from onnx import helper
from PIL import Image
from timm.layers.conv2d_same import Conv2dSame

from fedseg.config import Model, Suite, Training
from fedseg.errors import FedsegError
from fedseg.evaluation.predict import predict
from fedseg.evaluation.suite import score_suite
from fedseg.models import checkpoints
from fedseg.models import export as exporter
from fedseg.models.build import seeded_build
from fedseg.models.export import export
from fedseg.models.exported import open_model
from fedseg.models.whole_strides import WholeStrides
from tests.conftest import TINY_MODEL
from tests.disks import small_disk

SIZE = (96, 160)
LITE = "tu-tf_efficientnet_lite0"


def save(folder, **model):
    kind = Model(**{**TINY_MODEL, **model})
    info = checkpoints.describe(kind, Training(crop=(64, 96)))
    checkpoints.save(folder, seeded_build(kind, 0), info)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp("export") / "model")


@pytest.fixture(scope="module")
def plain(checkpoint, tmp_path_factory):
    """An ONNX file of images of any size, with nothing inside."""
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export(checkpoint, path)
    return path


def run(path, images):
    session = onnxruntime.InferenceSession(path)
    [output] = session.run(None, {"images": images})
    return output


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (70, 110, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 3])
def test_onnx_gives_the_logits_of_smp_at_any_size(checkpoint, plain, count):
    images = torch.randn(count, 3, *SIZE)
    with torch.inference_mode():
        wanted = smp.from_pretrained(checkpoint).eval()(images).softmax(1)
    given = torch.from_numpy(run(plain, images.numpy())).softmax(1)
    assert (given - wanted).abs().max() < 1e-3
    assert (given.argmax(1) == wanted.argmax(1)).float().mean() > 0.999


@pytest.mark.parametrize("size", [(131, 161), (130, 160), (97, 33), (20, 27), (1, 1), (64, 96)])
def test_onnx_continues_images_of_odd_sizes_and_cuts_off_what_it_added(checkpoint, plain, size):
    images = np.random.default_rng(0).standard_normal((3, 3, *size)).astype(np.float32)
    missing = [(0, -side % 32) for side in size]
    continued = np.pad(images, ((0, 0), (0, 0), *missing), mode="edge")
    with torch.inference_mode():
        wanted = smp.from_pretrained(checkpoint).eval()(torch.from_numpy(continued))
    given = run(plain, images)
    assert given.shape == (3, 19, *size)
    assert np.abs(given - wanted[..., : size[0], : size[1]].numpy()).max() < 1e-3


@pytest.mark.slow  # exported once more, half a minute
def test_a_full_disk_is_said_to_be_full(checkpoint, tmp_path):
    """And not that the model can't be exported, or might be at another size."""
    with small_disk(tmp_path / "disk", "200k") as disk:
        with pytest.raises(FedsegError, match=r"No space left on device; make room"):
            export(checkpoint, disk / "model.onnx")
        assert not list(disk.iterdir())


@pytest.mark.slow  # exported once more, half a minute
def test_normalisation_and_argmax_inside(checkpoint, tmp_path):
    """uint8 in, trainIds out: ImageNet's mean and deviation, as of the model, by hand."""
    images = np.random.default_rng(0).integers(0, 256, (2, 3, *SIZE), dtype=np.uint8)
    path = tmp_path / "model.onnx"
    export(checkpoint, path, normalise=True, argmax=True)
    given = run(path, images)
    odd = run(path, np.ascontiguousarray(images[..., :91, :130]))
    assert odd.shape == (2, 91, 130)
    assert odd.dtype == np.int64
    info = checkpoints.load_info(checkpoint)
    mean, std = (np.float32(v)[:, None, None] for v in info.normalisation)
    with torch.inference_mode():
        logits = smp.from_pretrained(checkpoint).eval()(
            torch.from_numpy((images / 255 - mean) / std).float()
        )
    assert given.dtype == np.int64
    assert (given == logits.argmax(1).numpy()).mean() > 0.999


def test_predicting_with_a_file_gives_what_the_checkpoint_gives(checkpoint, plain, picture):
    wanted = predict(*checkpoints.load(checkpoint), picture)
    assert (predict(*open_model(plain, "cpu"), picture) == wanted).mean() > 0.999


def test_a_file_is_scored_like_the_checkpoint(checkpoint, plain, make_world, tmp_path):
    data = {"name": "city", "dataset": "folder", "root": str(make_world("city"))}
    suite = Suite.model_validate({"evaluation": [data]})
    out = tmp_path / "scores"
    scores = score_suite([checkpoint, plain], suite, lambda *_: None, out)
    wanted, found = (row["city"] for row in scores.values())
    assert list(scores) == ["model", "model.onnx"]
    assert np.sum(found.confusion) == np.sum(wanted.confusion)
    assert np.abs(np.subtract(found.confusion, wanted.confusion)).sum() < 1e-3 * 4 * 48 * 80
    written = (out / "model.onnx@city.json").stat().st_mtime_ns
    score_suite([plain], suite, lambda *_: None, out)
    assert (out / "model.onnx@city.json").stat().st_mtime_ns == written


def test_a_file_of_one_size(checkpoint, picture, tmp_path):
    path = tmp_path / "model.onnx"
    export(checkpoint, path, size=SIZE)
    network, info = open_model(path, "cpu")
    assert info.inference_height == SIZE[0]
    wanted = predict(checkpoints.load(checkpoint)[0], info, picture[:66])
    assert (predict(network, info, picture[:66]) == wanted).mean() > 0.999
    with pytest.raises(FedsegError, match=r"for images of 96x160 only .* resized to 96x96"):
        predict(network, info, picture[:, :70])


def test_a_model_that_its_exporter_fixes_to_one_size(checkpoint, tmp_path, monkeypatch):
    """As PSPNet's pooling is: another size fails when the file is tried."""

    def write(network, contract, path):
        def run(images):
            assert images.shape[2:] == exporter.SIZES[0], "other than\nthe example"
            return network(images)

        return run

    monkeypatch.setattr(exporter, "_write", write)
    with pytest.raises(FedsegError, match=r"exported: other than; .*--size HEIGHT WIDTH$"):
        export(checkpoint, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(64, 96), (32, 224)])
def test_padding_as_in_tensorflow_is_fixed_for_multiples_of_32(size):
    network = seeded_build(Model(arch="fpn", encoder=LITE, encoder_weights="none"), 0).eval()
    other = deepcopy(network)
    exporter.fix_padding(other)
    assert not [m for m in other.modules() if isinstance(m, Conv2dSame)]
    images = torch.randn(1, 3, *size)
    with torch.inference_mode():
        assert torch.allclose(other(images), network(images), atol=1e-4)


def test_a_file_that_differs_is_not_kept(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_text("older")

    def write(network, contract, path):
        path.write_text("newer")
        return lambda images: WholeStrides(network, contract.info.stride)(images).flip(1)

    monkeypatch.setattr(exporter, "_write", write)
    with pytest.raises(FedsegError, match="of the pixels of random images have the same class"):
        export(checkpoint, path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["older"]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("model.pt", {}, "an ONNX file ends with .onnx"),
        ("model.onnx", {"size": (100, 160)}, "can't take images of 100x160"),
    ],
)
def test_what_can_not_be_exported(checkpoint, tmp_path, name, options, expected):
    with pytest.raises(FedsegError, match=expected):
        export(checkpoint, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_files_of_others(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(FedsegError, match=r"text\.onnx: no ONNX model"):
        open_model(tmp_path / "text.onnx", "cpu")
    given, made = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "ab")
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", [given], [made])
    onnx.save(helper.make_model(graph, ir_version=10), tmp_path / "other.onnx")
    with pytest.raises(FedsegError, match="not a file of `fedseg export`"):
        open_model(tmp_path / "other.onnx", "cpu")
    with pytest.raises(FedsegError, match="no such file"):
        open_model(tmp_path / "nothing.onnx", "cpu")
    (tmp_path / "model.txt").write_text("")
    with pytest.raises(FedsegError, match="neither a checkpoint folder nor"):
        open_model(tmp_path / "model.txt", "cpu")


def test_without_the_extra(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(FedsegError, match=r"pip install 'fedseg\[export\]'"):
        export(checkpoint, tmp_path / "model.onnx")


@pytest.mark.slow  # exported once more, half a minute
def test_the_commands(checkpoint, picture, tmp_path, run_cli):
    out = tmp_path / "model.onnx"
    done = run_cli("export", checkpoint, "--out", out)
    assert done.returncode == 0, done.err
    assert "% of the pixels of random images have the same class" in done.out
    Image.fromarray(picture).save(tmp_path / "photo.png")
    for number, model in enumerate((out, checkpoint)):
        done = run_cli("predict", model, tmp_path / "photo.png", "--out", tmp_path / str(number))
        assert done.returncode == 0, done.err
    first, second = (np.asarray(Image.open(tmp_path / n / "photo_trainId.png")) for n in "01")
    assert (first == second).mean() > 0.99
    assert run_cli("export", checkpoint, "--out", tmp_path / "model.bin").returncode == 2
