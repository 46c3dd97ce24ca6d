"""Models of Hugging Face's transformers."""

from copy import deepcopy

import pytest
import torch
from safetensors.torch import save_file

from fedseg.config import Model, Training
from fedseg.errors import FedsegError
from fedseg.extras.huggingface import FAMILIES
from fedseg.models import checkpoints
from fedseg.models.adapters import freeze_and_adapt, rebuild_model, trained_part
from fedseg.models.build import build, seeded_build
from fedseg.models.export import export
from fedseg.planning.preflight import find_problems
from fedseg.run.progress import silent

transformers = pytest.importorskip("transformers")
SMALL = {"arch": "hf_segformer", "encoder": "mit-b0"}


def save(tensors, path):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return str(path)


def test_sizes_are_those_of_the_published_models():
    # Parameters in millions: SegFormer, arXiv 2105.15203, tables 1 and 6; Mask2Former's Swin-T has
    # 47.4 by transformers' own count of facebook/mask2former-swin-tiny-cityscapes-semantic.
    for arch, encoder, millions in (
        ("hf_segformer", "mit-b0", 3.8),
        ("hf_segformer", "mit-b1", 13.7),
        ("hf_segformer", "mit-b2", 27.5),
        ("hf_mask2former", "swin-tiny", 47.4),
        ("hf_eomt", "dinov2-small", 23.9),
    ):
        network = build(Model(arch=arch, encoder=encoder, encoder_weights="none"))
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count / 1e6 == pytest.approx(millions, rel=0.03)


def test_a_model_of_other_classes_gives_all_but_its_last_layer(tmp_path):
    config = transformers.SegformerConfig(**FAMILIES["hf_segformer"].encoders["mit-b0"])
    config.num_labels = 150
    theirs = transformers.SegformerForSemanticSegmentation(config)
    path = save(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = build(Model(**SMALL, encoder_weights=path))
    for name, tensor in theirs.state_dict().items():
        same = ours.state_dict()[name]
        assert (same.shape == tensor.shape) == ("classifier" not in name)
        assert same.shape != tensor.shape or torch.equal(same, tensor)


@pytest.mark.parametrize("prefix", ["", "module._orig_mod.", "ema_model.", "net.segformer."])
def test_weights_below_a_prefix(tmp_path, prefix):
    theirs = build(Model(**SMALL, encoder_weights="none"))
    part = theirs.encoder if prefix.endswith("segformer.") else theirs
    weights = {f"{prefix}{name}": t.contiguous() for name, t in part.state_dict().items()}
    save_file(weights | {"step": torch.tensor(1)}, tmp_path / "weights.safetensors")
    ours = build(Model(**SMALL, encoder_weights=str(tmp_path / "weights.safetensors")))
    wanted = theirs.encoder.state_dict()
    assert all(torch.equal(t, wanted[n]) for n, t in ours.encoder.state_dict().items())


def test_an_encoder_alone_is_enough_and_another_is_refused(tmp_path):
    encoder = build(Model(**SMALL, encoder_weights="none")).encoder
    path = save(encoder.state_dict(), tmp_path / "encoder.safetensors")
    ours = build(Model(**SMALL, encoder_weights=path)).encoder
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), encoder.parameters(), strict=True)
    )
    with pytest.raises(FedsegError, match="not the weights of this encoder"):
        build(Model(arch="hf_segformer", encoder="mit-b1", encoder_weights=path))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoder": "mit-b9"}, "no encoder 'mit-b9' of hf_segformer; did you mean 'mit-b"),
        ({"encoder": "resnet18"}, "no encoder 'resnet18'"),
        ({"arch": "hf_segfromer"}, "did you mean 'hf_segformer'"),
        ({"encoder_weights": "imagenet"}, "set encoder_weights to 'none', to a repository"),
        ({"decoder": {"channels": 3}}, "has no settings"),
        ({"encoder_weights": "/nowhere.safetensors"}, "no such file"),
    ],
)
def test_what_cannot_be_built(change, reason):
    with pytest.raises(FedsegError, match=reason):
        build(Model(**SMALL | {"encoder_weights": "none"} | change))


def test_adapters_send_a_part(tmp_path):
    model = Model(**SMALL, encoder_weights="none", train="lora")
    network = seeded_build(model, 0)
    freeze_and_adapt(network, model)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)
    sent = trained_part(network, model)
    total = sum(tensor.numel() for tensor in network.state_dict().values())
    assert sum(tensor.numel() for tensor in sent.weights.values()) < total / 4
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = network.eval()(image)
        given = rebuild_model(model, 0, sent.weights, sent.base)(image)
    assert torch.allclose(given, expected, atol=1e-4)


def test_a_family_without_features_is_refused_before_anything_is_trained(federation):
    model = Model(arch="hf_mask2former", encoder="swin-tiny", encoder_weights="none")
    server = federation.server
    fused = server.distillation.model_copy(update={"fusion": "features"})
    changed = federation.model_copy(
        update={"model": model, "server": server.model_copy(update={"distillation": fused})}
    )
    assert "no decoder features to fuse" in str(next(find_problems(changed, silent)))


def test_without_the_library_the_extra_is_named(monkeypatch):
    from fedseg.extras import huggingface

    huggingface._network_class.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(FedsegError, match=r"pip install 'fedseg\[transformers\]'"):
        build(Model(**SMALL, encoder_weights="none"))


def test_the_checkpoint_names_its_classes(tmp_path):
    model = Model(**SMALL, encoder_weights="none")
    checkpoints.save(tmp_path / "m", build(model), checkpoints.describe_model(model, Training()))
    theirs = transformers.SegformerForSemanticSegmentation.from_pretrained(tmp_path / "m")
    assert theirs.config.id2label[0] == "road"
    assert theirs.config.label2id["bicycle"] == 18


def test_mask2former_in_onnx_is_refused_at_once(tmp_path):
    model = Model(arch="hf_mask2former", encoder="swin-tiny", encoder_weights="none")
    checkpoints.save(tmp_path / "m", build(model), checkpoints.describe_model(model, Training()))
    with pytest.raises(FedsegError, match=r"can't be exported: .*--size HEIGHT WIDTH"):
        export(tmp_path / "m", tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_eomt_sees_any_size_also_as_a_copy():
    network = build(Model(arch="hf_eomt", encoder="dinov2-small", encoder_weights="none")).eval()
    copied = deepcopy(network)
    image = torch.rand(1, 3, 96, 160)
    with torch.inference_mode():
        network(torch.rand(1, 3, 64, 64))  # another size in between
        assert torch.equal(copied(image), network(image))


def test_eomt_has_no_encoder_to_freeze():
    model = Model(arch="hf_eomt", encoder="dinov2-small", encoder_weights="none", train="decoder")
    with pytest.raises(FedsegError, match="can't be frozen"):
        build(model)
