import pytest
import torch
from huggingface_hub import constants
from pydantic import ValidationError
from safetensors.torch import save_file

from fedseg.config import Model
from fedseg.errors import FedsegError
from fedseg.models import hub
from fedseg.models.build import IMAGENET, build, check_size, normalisation, outline
from tests.conftest import TINY_MODEL


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(FedsegError, match="no architecture 'unett'; did you mean 'unet'"):
        build(Model(arch="unett", encoder_weights="none"))
    with pytest.raises(FedsegError, match="no encoder 'resnet19'; did you mean 'resnet18'"):
        build(Model(encoder="resnet19", encoder_weights="none"))
    with pytest.raises(FedsegError, match="no encoder 'tu-resnet19'; did you mean 'tu-resnet1"):
        build(Model(encoder="tu-resnet19", encoder_weights="none"))


@pytest.mark.parametrize("encoder", [TINY_MODEL["encoder"], "mit_b0"])
def test_an_outline_has_the_models_tensors_and_takes_weights(encoder):
    model = Model(**TINY_MODEL | {"encoder": encoder})
    network, empty = build(model).eval(), outline(model).eval()
    assert {n: (t.shape, t.dtype) for n, t in empty.state_dict().items()} == {
        n: (t.shape, t.dtype) for n, t in network.state_dict().items()
    }
    assert all(t.is_meta for t in (*empty.parameters(), *empty.buffers()))
    empty.load_state_dict(network.state_dict(), assign=True)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(empty(image), network(image))


def test_sizes_the_encoder_cannot_take_are_refused():
    model = Model(**TINY_MODEL)
    check_size(model, (32, 64))
    with pytest.raises(FedsegError, match=r"50x64 .*\(64, 64\)"):
        check_size(model, (50, 64))


def test_encoder_weights_load_under_timm_names_and_leave_the_head_out(tmp_path):
    source = build(Model(**TINY_MODEL))
    weights = {
        name.removeprefix("model."): tensor.contiguous() + 1
        for name, tensor in source.encoder.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path = tmp_path / "encoder.safetensors"
    save_file(weights | {"classifier.weight": torch.zeros(10, 10)}, path)
    loaded = build(Model(**TINY_MODEL | {"encoder_weights": str(path)})).encoder.state_dict()
    for name, tensor in weights.items():
        assert torch.equal(loaded[f"model.{name}"], tensor)


def test_weights_of_another_encoder_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"stem.weight": torch.zeros(3)}, path)
    with pytest.raises(FedsegError, match="not the weights of this encoder"):
        build(Model(**TINY_MODEL | {"encoder_weights": str(path)}))
    path.write_bytes(b"not weights")
    with pytest.raises(FedsegError, match="not a safetensors file"):
        build(Model(**TINY_MODEL | {"encoder_weights": str(path)}))
    with pytest.raises(FedsegError, match="no such file"):
        build(Model(**TINY_MODEL | {"encoder_weights": str(tmp_path / "none.safetensors")}))


def test_normalisation_follows_the_encoder():
    assert normalisation(Model()).mean == (0.5, 0.5, 0.5)  # timm's tf_ weights
    assert normalisation(Model(encoder="resnet18", encoder_weights="none")) == IMAGENET


@pytest.mark.parametrize(
    ("decoder", "expected"),
    [
        ({"channels": 64}, "fpn has no setting 'channels'; did you mean 'pyramid_channels'"),
        ({"pyramid_channels": "wide"}, "pyramid_channels must be a number, as 256"),
        ({"pyramid_channels": (64, 64)}, "pyramid_channels must be a number, as 256"),
        ({"merge_policy": True}, "merge_policy must be text, as 'add'"),
    ],
)
def test_settings_that_a_decoder_does_not_have(decoder, expected):
    with pytest.raises(FedsegError, match=expected):
        build(Model(**TINY_MODEL, decoder=decoder))


@pytest.mark.parametrize("value", [5000, -1, (1,) * 9, (1, 5000), "x" * 21])
def test_settings_that_ask_for_too_much(value):
    with pytest.raises(ValidationError, match=r"at most|negative"):
        Model(**TINY_MODEL, decoder={"pyramid_channels": value})


def test_without_a_network_the_remedy_is_named(monkeypatch, tmp_path):
    """SMP asks the hub for the normalisation of its own encoders' weights, too."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "_answers", lambda _: False)
    model = Model(arch="fpn", encoder="resnet18")
    for make in (build, normalisation):
        with pytest.raises(FedsegError, match="without a network, set encoder_weights to 'none'"):
            make(model)
