import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file

from fedseg.config import Model, Training
from fedseg.errors import FedsegError
from fedseg.files import read_json, write_json
from fedseg.models import checkpoints
from fedseg.models.build import build
from fedseg.storage.hashes import content_hash
from tests.conftest import TINY_MODEL

MODEL = Model(**TINY_MODEL)
INFO = checkpoints.describe_model(MODEL, Training(crop=(64, 96)), coverage=(0, 2))


@pytest.fixture
def saved(tmp_path):
    network = build(MODEL).eval()
    checkpoints.save(tmp_path / "model", network, INFO, extra={"a": 1})
    return tmp_path / "model", network


def test_what_is_saved_is_loaded_by_fedseg_and_by_smp_alone(saved):
    folder, network = saved
    loaded, info = checkpoints.load(folder)
    assert info == INFO
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        expected = network(image)
        assert torch.allclose(loaded(image), expected, atol=1e-5)
        assert torch.allclose(smp.from_pretrained(folder).eval()(image), expected, atol=1e-5)
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "fedseg.json",
        "extra.json",
        "made_from.json",
    }


def test_inference_height_defaults_to_a_quarter_more_than_the_crop():
    assert INFO.inference_height == 64  # 80, to a multiple of 32: 64 (2.5 rounds to even)
    assert checkpoints.describe_model(MODEL, Training(crop=(512, 1024))).inference_height == 640
    assert checkpoints.describe_model(MODEL, Training(inference_height=480)).inference_height == 480


def test_hash_is_of_content_alone(saved):
    folder, network = saved
    weights = network.state_dict()
    loaded, _ = checkpoints.load(folder)
    assert content_hash(weights) == content_hash(loaded.state_dict())
    name = next(iter(weights))
    changed = weights | {name: weights[name] + 1}
    assert content_hash(changed) != content_hash(weights)


def test_a_coverage_of_classes_that_are_not_there(saved):
    folder, _ = saved
    content = read_json(folder / "fedseg.json")
    write_json(folder / "fedseg.json", content | {"coverage": [0, 19]})
    with pytest.raises(FedsegError, match=r"fedseg\.json: coverage: not made of trainIds 0\.\.18"):
        checkpoints.load_info(folder)


def test_a_folder_that_is_no_checkpoint(tmp_path, saved):
    with pytest.raises(FedsegError, match="not a checkpoint folder"):
        checkpoints.load(tmp_path)
    folder, _ = saved
    (folder / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(FedsegError, match=r"model\.safetensors: is not the file that was written"):
        checkpoints.load(folder)
    (folder / "made_from.json").unlink()  # as of a checkpoint that somebody else made
    with pytest.raises(FedsegError, match="can't be read"):
        checkpoints.load(folder)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "ema_model.", "net."])
def test_weights_below_a_prefix_are_the_models_and_checked_all_the_same(saved, prefix):
    folder, network = saved
    state = network.state_dict()
    weights = {f"{prefix}{name}": tensor.contiguous() for name, tensor in state.items()}
    (folder / "made_from.json").unlink()  # as of a checkpoint that somebody else made
    save_file(weights, folder / "model.safetensors")
    loaded, _ = checkpoints.load(folder)
    assert content_hash(loaded.state_dict()) == content_hash(network.state_dict())
    name = f"{prefix}segmentation_head.0.weight"
    for changed, expected in (
        (weights[name][:5], "is float32 .*, but must be float32"),
        (weights[name].double(), "is float64"),
        (weights[name] * torch.nan, "holds NaN"),
    ):
        save_file(weights | {name: changed.contiguous()}, folder / "model.safetensors")
        with pytest.raises(FedsegError, match=rf"'segmentation_head\.0\.weight' {expected}"):
            checkpoints.load(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"stride": ' + b"1" * 5000 + b"}", "damaged (it holds a number of thousands of digits)"),
        (b'{"stride": 1e999}', "'stride' = inf: expected a whole number from 4 to 256"),
        (b'{"stride": NaN}', "'stride' = nan: expected a whole number from 4 to 256"),
        (b'{"crop": "96x128"}', "'crop' = '96x128': expected a list of 2 whole numbers from 1"),
        (b'{"arch": "a\\u0000b"}', "arch: holds a NUL"),
        (b'{"arch": ' + b"[" * 100_000, "damaged (it is nested too deeply)"),
        (b'{"arch": ' + b"[" * 300 + b"]" * 300 + b"}", "'arch' = [[[["),
        (b'{"arch": "\xff"}', "damaged ('utf-8' codec can't decode byte 0xff"),
        (b"[]", "damaged (expected a dict, found a list)"),
        (b"", "damaged (Expecting value"),
    ],
    ids=lambda one: repr(one[:20]) if isinstance(one, bytes) else "",
)
def test_a_description_that_others_wrote_wrongly_is_one_line(saved, content, said):
    folder, _ = saved
    (folder / "fedseg.json").write_bytes(content)
    with pytest.raises(FedsegError) as caught:
        checkpoints.load(folder)
    assert said in str(caught.value)
    assert str(folder / "fedseg.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def spoil(weights, how):
    name = "segmentation_head.0.weight"
    match how:
        case "missing":
            del weights[name]
        case "unknown":
            weights["backdoor"] = torch.zeros(1)
        case "shape":
            weights[name] = weights[name][:5]
        case "dtype":
            weights[name] = weights[name].double()
        case "nan":
            weights[name] = weights[name].clone().index_fill_(0, torch.tensor([1]), torch.nan)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("missing", "lacks tensor 'segmentation_head.0.weight'"),
        ("unknown", "unknown tensor 'backdoor'"),
        ("shape", r"is float32 \[5, .*\], but must be float32 \[19"),
        ("dtype", "is float64"),
        ("nan", "'segmentation_head.0.weight' holds NaN"),
    ],
)
def test_weights_that_are_not_the_models(saved, how, expected):
    _, network = saved
    weights = dict(network.state_dict())
    spoil(weights, how)
    with pytest.raises(FedsegError, match=expected):
        checkpoints.restore_network(INFO, weights, "upload")
