"""Parts of models: what is trained, what is sent, and what becomes of it elsewhere."""

import sys

import pytest
import torch

from fedseg.config import Model, Training
from fedseg.errors import FedsegError
from fedseg.models import adapters
from fedseg.models.adapters import adapt, adapted, merge, part, trained_names, whole
from fedseg.models.build import IMAGENET, outline, seeded_build
from fedseg.training.loop import TrainingRun, fit
from fedseg.training.losses import cross_entropy, labelled
from tests.conftest import TINY_MODEL, paint

DECODER = Model(**TINY_MODEL, train="decoder")
LORA = Model(arch="segformer", encoder="mit_b0", encoder_weights="none", train="lora")
LARGE = {
    "arch": "dpt",
    "encoder": "tu-vit_large_patch14_dinov2",
    "encoder_weights": "none",
    "decoder": {
        "readout": "ignore",
        "intermediate_channels": (64, 128, 128, 128),
        "fusion_channels": 64,
    },
}


def trained(model, seed=0):
    """A model after two steps, and what was trained of it."""
    network = seeded_build(model, seed)
    settings = Training(iterations=2, batch_size=2, crop=(64, 64), learning_rate=0.01)
    run = TrainingRun(settings=settings, seed=1, device=torch.device("cpu"))
    with adapted(network, model):
        fit(
            network,
            lambda rng: paint(rng, [0, 8], (64, 64)),
            cross_entropy,
            IMAGENET,
            run,
            labelled,
        )
        return network, part(network, model)


@pytest.mark.parametrize("model", [DECODER, LORA], ids=["decoder", "lora"])
def test_only_the_part_changes_and_makes_the_same_model_elsewhere(model):
    base = seeded_build(model, 0).state_dict()
    network, sent = trained(model)
    merged = network.state_dict()
    assert merged.keys() == base.keys()
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert any("decoder" in name for name in changed)
    frozen = {name for name in base if name.startswith("encoder")} - changed
    if model is DECODER:  # running statistics stay, too
        assert frozen == {name for name in base if name.startswith("encoder")}
        assert sent.weights.keys() == {name for name in base if not name.startswith("encoder")}
    else:
        assert {name.split(".")[-2] for name in changed - frozen if "attn" in name} >= {"q", "kv"}
        assert not [name for name in changed if name.startswith("encoder") and "mlp" in name]
    elsewhere = whole(model, 0, sent.weights, sent.base).state_dict()
    assert all(torch.equal(elsewhere[name], merged[name]) for name in merged)
    assert all(value.requires_grad for value in network.parameters())


def test_an_adapter_adds_a_product_of_two_narrow_matrices():
    """Section 4.1 of arXiv 2106.09685: W + alpha / r * B A, with alpha = 2 r here."""
    network = seeded_build(LORA, 0).eval()
    before = network.state_dict()["encoder.block1.0.attn.q.weight"].clone()
    adapt(network, LORA)
    layer = network.encoder.block1[0].attn.q
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert a.shape[0] == b.shape[1] == 8
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        wanted = network(images)
        merge(network)
        assert torch.allclose(network(images), wanted, atol=1e-4)
    after = network.state_dict()["encoder.block1.0.attn.q.weight"]
    assert torch.allclose(after, before + 2 * b @ a, atol=1e-5)


def test_a_part_for_another_base_is_refused():
    _, sent = trained(DECODER)
    with pytest.raises(FedsegError, match=r"lcnet_050, weights 'none', sha256 \w{12}; "):
        whole(DECODER, 1, sent.weights, sent.base)
    with pytest.raises(
        FedsegError, match="is not the server's: both need the same encoder_weights"
    ):
        adapters.check_base(DECODER, 1, sent.base)
    adapters.check_base(DECODER, 0, sent.base)


def test_a_part_of_another_shape_is_refused():
    _, sent = trained(DECODER)
    name = next(iter(sent.weights))
    for weights in (
        {},
        sent.weights | {name: torch.zeros(1)},
        sent.weights | {"more": torch.zeros(1)},
    ):
        with pytest.raises(FedsegError, match="upload: "):
            whole(DECODER, 0, weights, sent.base)


@pytest.mark.parametrize(("train", "most"), [("decoder", 10e6), ("lora", 25e6)])
def test_what_is_sent_of_a_vit_large_is_small(train, most):
    """Of 1.2 GB; see docs/models.md."""
    model = Model(**LARGE, train=train)
    with torch.device("meta"):
        network = outline(model)
        adapt(network, model)
    state = network.state_dict()
    assert sum(tensor.nbytes for tensor in state.values()) > 1.2e9
    assert sum(state[name].nbytes for name in trained_names(network)) < most


@pytest.mark.parametrize(
    "encoder",
    [
        "tu-swinv2_tiny_window8_256",
        "tu-eva02_tiny_patch14_224",
        "tu-vit_tiny_patch16_224",
        "tu-sam2_hiera_tiny",
    ],
)
def test_every_adapter_learns(encoder):
    """SwinV2 and EVA-02 multiply with the weights of qkv themselves, past any adapter of it."""
    model = LORA.model_copy(update={"encoder": encoder, "arch": "segformer"})
    if "vit" in encoder or "eva" in encoder:
        model = model.model_copy(update={"arch": "dpt"})
    network = seeded_build(model, 0)
    adapt(network, model)
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    learns = {
        name: value.grad is not None
        for name, value in network.named_parameters()
        if "lora_B" in name
    }
    assert learns
    assert all(learns.values()), learns
    is_direct = "swinv2" in encoder or "eva02" in encoder
    assert any("qkv" in name for name in learns) != is_direct


def test_an_encoder_without_attention():
    model = LORA.model_copy(update=TINY_MODEL)
    expected = "encoder tu-lcnet_050 has no layer of an attention"
    with pytest.raises(FedsegError, match=expected):
        adapt(seeded_build(model, 0), model)


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(FedsegError, match=r"pip install 'fedseg\[lora\]'"):
        adapt(seeded_build(LORA, 0), LORA)
