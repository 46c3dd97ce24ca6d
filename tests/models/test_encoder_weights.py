import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.encoders import get_encoder
from segmentation_models_pytorch.encoders.timm_vit import TimmViTEncoder

from fedseg.config import Model
from fedseg.errors import FedsegError
from fedseg.models import encoder_weights, hub
from fedseg.models.build import build
from fedseg.models.encoder_weights import fetch_timm_weights, load_encoder

FAMILIES = [  # the smallest of each; SMP wraps features of each family in its own way
    "lcnet_050",
    "test_convnext",
    "convnext_atto",
    "mobilevitv2_050",
    "pvt_v2_b0",
    "swin_tiny_patch4_window7_224",
    "hiera_tiny_224",
    "hrnet_w18_small",
    "legacy_xception",
]


def saved(module, path):
    save_file({name: t.clone().contiguous() for name, t in module.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("name", FAMILIES)
def test_timms_own_files_give_timms_own_features(tmp_path, name):
    torch.manual_seed(0)
    whole = timm.create_model(name).eval()
    encoder = get_encoder(f"tu-{name}").eval()
    image = torch.rand(1, 3, 224, 224)
    load_encoder(encoder, saved(whole, tmp_path / "weights.safetensors"))
    with torch.inference_mode():
        expected = timm.create_model(name, features_only=True).eval()
        # timm's way: the whole model's tensors, under the names of its features.
        plain = {key.replace(".", "_"): tensor for key, tensor in whole.state_dict().items()}
        expected.load_state_dict(
            {k: plain[k.removeprefix("body.").removeprefix("model.").replace(".", "_")]
             for k in expected.state_dict()}
        )  # fmt: skip
        wanted = expected(image)[-1]
        given = encoder(image)[-1]
    if given.shape != wanted.shape:  # some have their channels last
        wanted = wanted.permute(0, 3, 1, 2)
    assert torch.allclose(given, wanted, atol=1e-5)


def test_a_vit_as_dpt_uses_it(tmp_path):
    whole = timm.create_model("test_vit")
    encoder = TimmViTEncoder("test_vit", pretrained=False, depth=2, output_indices=(0, 1))
    load_encoder(encoder, saved(whole, tmp_path / "weights.safetensors"))
    ours, theirs = encoder.state_dict(), whole.state_dict()
    assert torch.equal(ours["model.blocks.0.attn.qkv.weight"], theirs["blocks.0.attn.qkv.weight"])
    assert torch.equal(ours["model.pos_embed"], theirs["pos_embed"])


def test_a_position_table_of_another_size_is_refused_or_resampled_not_left_out(tmp_path):
    whole = timm.create_model("test_vit", img_size=96)
    encoder = TimmViTEncoder("test_vit", pretrained=False, depth=2, output_indices=(0, 1))
    before = encoder.state_dict()["model.pos_embed"].clone()
    path = saved(whole, tmp_path / "weights.safetensors")
    try:
        load_encoder(encoder, path)
    except FedsegError as error:
        assert "of another shape" in str(error)  # noqa: PT017
    else:
        assert not torch.equal(encoder.state_dict()["model.pos_embed"], before)


def test_torchvisions_names_and_narrow_numbers(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    whole = resnet18()
    path = tmp_path / "weights.safetensors"
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in whole.state_dict().items()
    }
    save_file(halves, path)
    model = Model(arch="unet", encoder="resnet18", encoder_weights=str(path))
    encoder = build(model).encoder.state_dict()
    assert encoder["layer1.0.conv1.weight"].dtype == torch.float32
    wanted = whole.state_dict()["layer1.0.conv1.weight"]
    assert torch.allclose(encoder["layer1.0.conv1.weight"], wanted, atol=1e-3)


def test_a_tensor_that_is_missing_misshapen_or_not_finite(tmp_path):
    encoder = get_encoder("tu-lcnet_050")
    weights = {n: t.clone().contiguous() for n, t in encoder.state_dict().items()}
    path = tmp_path / "weights.safetensors"
    name = next(n for n, _ in encoder.named_parameters())
    before = {n: t.clone() for n, t in encoder.state_dict().items()}
    for changes, why in (
        ({name: None}, rf"1 of \d+ tensors missing, 0 of another shape, '{name}'"),
        ({name: torch.zeros(3)}, rf"1 of another shape, '{name}', \[3\] where"),
        ({name: weights[name] * torch.nan}, f"tensor '{name}' holds NaN"),
        ({name: weights[name].long()}, f"tensor '{name}' is torch.int64"),
        (dict.fromkeys([n for n in weights if "running_mean" in n]), "tensors missing"),
    ):
        save_file({n: t for n, t in (weights | changes).items() if t is not None}, path)
        with pytest.raises(FedsegError, match=why):
            load_encoder(encoder, path)
        assert all(torch.equal(t, before[n]) for n, t in encoder.state_dict().items())


PREFIXES = [
    *("_orig_mod.", "module._orig_mod.", "ema_model.", "ema_model.module.", "net.", "network."),
    *("student.backbone.", "net.encoder.", "module._orig_mod.encoder.model.", "x."),
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_encoder_weights_below_any_prefix(tmp_path, prefix):
    torch.manual_seed(0)
    whole = timm.create_model("lcnet_050").state_dict()
    path = tmp_path / "weights.safetensors"
    below = {f"{prefix}{name}": tensor for name, tensor in whole.items()}
    head = {f"{prefix.split('.')[0]}.decoder.weight": torch.zeros(2), "step": torch.tensor(1)}
    save_file(below | head, path)
    encoder = get_encoder("tu-lcnet_050")
    load_encoder(encoder, path)
    assert torch.equal(encoder.state_dict()["model.conv_stem.weight"], whole["conv_stem.weight"])
    name = f"{prefix}conv_stem.weight"
    for changed, why in (
        (below[name][:2], "1 of another shape"),
        (below[name] * torch.nan, "holds NaN"),
        (below[name].long(), "is torch.int64"),
    ):
        save_file(below | {name: changed}, path)
        with pytest.raises(FedsegError, match=why):
            load_encoder(encoder, path)


def test_an_encoders_average_is_preferred(tmp_path, caplog):
    encoders = [get_encoder("tu-lcnet_050") for _ in range(2)]
    model, average = (encoder.state_dict() for encoder in encoders)
    weights = {f"model.encoder.{name}": tensor for name, tensor in model.items()}
    weights |= {f"ema_model.encoder.{name}": tensor for name, tensor in average.items()}
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    load_encoder(encoders[0], path)
    assert all(torch.equal(t, average[n]) for n, t in encoders[0].state_dict().items())
    assert "using 'ema_model.encoder.model.', the average" in caplog.text


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "ema_model.module."])
def test_an_older_layout_below_a_prefix_is_converted(tmp_path, prefix):
    name = "swin_tiny_patch4_window7_224"
    whole = timm.create_model(name).state_dict()
    old = {key: t for key, t in whole.items() if "downsample" not in key}
    for key, tensor in whole.items():  # of timm before 0.9: at the end of the stage before
        if "downsample" in key:
            stage = int(key.split(".")[1])
            old[key.replace(f"layers.{stage}.", f"layers.{stage - 1}.")] = tensor
    path = tmp_path / "weights.safetensors"
    save_file({f"{prefix}{key}": tensor for key, tensor in old.items()}, path)
    encoder = get_encoder(f"tu-{name}")
    load_encoder(encoder, path)
    key = "layers.1.downsample.reduction.weight"
    [loaded] = [t for n, t in encoder.state_dict().items() if n.endswith(key.replace(".", "_", 1))]
    assert torch.equal(loaded, whole[key])


@pytest.mark.parametrize("content", [b"", b"{", b"\x80\x04]\x94.", bytes(100)])
def test_files_that_are_no_safetensors(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(FedsegError, match="not a safetensors file"):
        load_encoder(get_encoder("tu-lcnet_050"), path)
    with pytest.raises(FedsegError, match="no such file"):
        load_encoder(get_encoder("tu-lcnet_050"), tmp_path)


@pytest.fixture
def offline_hub(tmp_path, monkeypatch):
    """A hub that can't be reached, and its cache: puts a file of a repository into it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "_answers", lambda _: False)

    def put(repository, name, content):
        folder = tmp_path / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text("0" * 40)
        file = folder / "snapshots" / ("0" * 40) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    return put


MODEL = Model(arch="fpn", encoder="tu-lcnet_050", encoder_weights="imagenet")
REPOSITORY = timm.get_pretrained_cfg("lcnet_050").hf_hub_id


def test_no_pickle_in_the_hubs_cache_is_ever_opened(offline_hub, tmp_path, monkeypatch):
    marker = tmp_path / "run"

    class Malicious:
        def __reduce__(self):
            return (Path.touch, (marker,))

    torch.save(Malicious(), tmp_path / "pickle")
    content = (tmp_path / "pickle").read_bytes()
    for name in ("pytorch_model.bin", "model.pth"):
        offline_hub(REPOSITORY, name, content)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was opened"))
    started = time.monotonic()
    with pytest.raises(FedsegError, match=r"can't be built: .*set encoder_weights to 'none' or"):
        build(MODEL)
    assert time.monotonic() - started < 10
    assert not marker.exists()
    assert not constants.HF_HUB_OFFLINE  # as it was


def test_published_weights_come_from_the_cache(offline_hub, tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model("lcnet_050")
    path = saved(whole, tmp_path / "weights.safetensors")
    offline_hub(REPOSITORY, "model.safetensors", path.read_bytes())
    encoder = build(MODEL).encoder.state_dict()
    wanted = whole.state_dict()["conv_stem.weight"]
    assert torch.equal(encoder["model.conv_stem.weight"], wanted)


def test_encoders_without_published_weights(monkeypatch):
    monkeypatch.setattr(hub, "_answers", lambda _: False)
    with pytest.raises(FedsegError, match="can't be built: Invalid pretrained tag"):
        build(MODEL.model_copy(update={"encoder": "tu-lcnet_050.no_such_tag"}))
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda *_, **__: None)
    with pytest.raises(FedsegError, match="names no weights for it"):
        fetch_timm_weights("tu-lcnet_050")


def test_the_default_model_needs_no_network(monkeypatch):
    monkeypatch.setattr(hub, "_answers", lambda _: pytest.fail("the hub was asked"))
    monkeypatch.setattr(encoder_weights, "hf_hub_download", lambda *_, **__: pytest.fail("asked"))
    torch.manual_seed(0)
    trained = build(Model()).encoder.state_dict()
    torch.manual_seed(0)
    untrained = build(Model(encoder_weights="none")).encoder.state_dict()
    same = [name for name in trained if torch.equal(trained[name], untrained[name])]
    assert {name.rpartition(".")[2] for name in same} == {"num_batches_tracked"}
    assert (encoder_weights.SHIPPED / "NOTICE").is_file()


def test_the_weights_that_come_with_fedseg_are_the_published_ones():
    published = (
        Path(__file__).parents[3] / "shared" / "weights" / "tf_efficientnet_lite0.safetensors"
    )
    if not published.is_file():
        pytest.skip("needs the published weights")
    wanted = load_file(published)
    shipped = load_file(encoder_weights.shipped_weights("tu-tf_efficientnet_lite0"))
    for name, tensor in shipped.items():
        assert torch.allclose(tensor.float(), wanted[name], rtol=1e-3, atol=1e-7), name
