"""Each row of the table in docs/models.md."""

import re
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from fedseg.config import Model, Training
from fedseg.errors import FedsegError
from fedseg.extras.huggingface import FAMILIES
from fedseg.models import checkpoints
from fedseg.models.any_size import any_size
from fedseg.models.build import build, check_size, model_stride, outline_model
from fedseg.models.encoder_weights import weights_licence
from fedseg.training.loop import TrainingRun, fit
from fedseg.training.losses import count_labelled, cross_entropy
from tests.conftest import paint

TABLE = (Path(__file__).parents[2] / "docs/models.md").read_text("utf-8")
ROWS = re.findall(r"^\| `(\w+)` \|.*\| `([\w.-]+)` \|$", TABLE, re.MULTILINE)
SIZES = ((128, 160), (160, 128))
OFTEN = {"unet", "deeplabv3", "segformer", "hf_mask2former"}
"""Architectures that every run of the suite trains, with the encoder of their last row; the others
are slow tests."""
LAST = dict(ROWS)
TRAINED = [
    pytest.param(
        *row, marks=[] if row[0] in OFTEN and LAST[row[0]] == row[1] else [pytest.mark.slow]
    )
    for row in ROWS
]


def example(rng):
    return paint(rng, [0, 8, 13], (128, 128))


def test_the_table_has_every_architecture():
    assert {arch for arch, _ in ROWS} == {*smp.MODEL_ARCHITECTURES_MAPPING, *FAMILIES}


def open_elsewhere(arch, folder):
    """The model as its library opens it, without fedseg."""
    if arch not in FAMILIES:
        return smp.from_pretrained(folder).eval()
    transformers = pytest.importorskip("transformers")
    kind = getattr(transformers, FAMILIES[arch].network)
    network, report = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return network.eval()


def logits_of(output, size):
    """What fedseg's model gives, from a library's output."""
    if isinstance(output, torch.Tensor):
        return output
    if hasattr(output, "logits"):
        logits = output.logits
    else:  # Cheng et al., arXiv 2107.06278, section 3.4, pixel by pixel
        classes = output.class_queries_logits.softmax(-1)[0, :, :-1]
        masks = output.masks_queries_logits.sigmoid()[0]
        logits = (classes.T @ masks.flatten(1)).view(-1, *masks.shape[1:])[None].clamp(1e-6).log()
    return F.interpolate(logits, size, mode="bilinear")


def test_the_table_names_the_licence_of_weights():
    rows = re.findall(r"^\| `\w+` \|.*\| ([^|]+) \| `([\w.-]+)` \|$", TABLE, re.MULTILINE)
    assert len(rows) == len(ROWS)
    for licence, encoder in rows:
        assert licence == (weights_licence(encoder) or "not known"), encoder


def test_the_table_names_strides():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| [^|]+ \| `([\w.-]+)` \|$", TABLE, re.MULTILINE)
    assert len(rows) == len(ROWS)
    for arch, step, encoder in rows:
        assert int(step) == model_stride(Model(arch=arch, encoder=encoder)), (arch, encoder)


@pytest.mark.parametrize(("arch", "encoder"), TRAINED)
def test_a_family_trains_and_opens_again_and_takes_any_size(tmp_path, arch, encoder):
    if arch in FAMILIES:
        pytest.importorskip("transformers")
    model = Model(arch=arch, encoder=encoder, encoder_weights="none")
    training = Training(iterations=1, batch_size=2, crop=(128, 128))
    step = model_stride(model)
    check_size(model, (9 * step, 13 * step))
    run = TrainingRun(settings=training, seed=0, device=torch.device("cpu"))
    info = checkpoints.describe_model(model, training)
    assert info.stride == step
    network = fit(build(model), example, cross_entropy, info.normalisation, run, count_labelled)
    checkpoints.save(tmp_path / "model", network, info)
    ours, _ = checkpoints.load(tmp_path / "model")
    theirs = open_elsewhere(arch, tmp_path / "model")
    with torch.inference_mode():
        # EoMT takes one size alone where fedseg does not interpolate its positions.
        for size in [(640, 640)] if arch == "hf_eomt" else SIZES:
            image = torch.rand(1, 3, *size)
            logits = ours(image)
            assert logits.shape == (1, 19, *size)
            assert logits.isfinite().all()
            assert torch.allclose(logits_of(theirs(image), size), logits, atol=1e-4)


@pytest.mark.parametrize(
    ("arch", "encoder", "nearest"),
    [
        ("fpn", "tu-maxvit_tiny_tf_224", "it takes 224x224 and 448x448"),
        ("upernet", "tu-hiera_tiny_224", "it takes 224x224"),
    ],
)
def test_other_sizes_than_a_family_takes_are_answered_with_the_nearest(arch, encoder, nearest):
    model = Model(arch=arch, encoder=encoder, encoder_weights="none")
    with pytest.raises(FedsegError, match=f"can't take images of 256x320 .*{nearest}"):
        check_size(model, (256, 320))


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "eva02_tiny_patch14_224"])
def test_patches_of_14_pixels_become_16_that_see_the_same(tmp_path, name):
    """A patch that is enlarged from 14 to 16 pixels has the same token: FlexiViT, section 3.4."""
    torch.manual_seed(0)
    whole = timm.create_model(name)
    path = tmp_path / "weights.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in whole.state_dict().items()}, path)
    model = Model(arch="dpt", encoder=f"tu-{name}", encoder_weights=str(path))
    encoder = build(model).encoder.model
    patch = torch.rand(1, 3, 14, 14)
    larger = F.interpolate(patch, (16, 16), mode="bicubic", antialias=True)
    with torch.inference_mode():
        wanted, given = whole.patch_embed.proj(patch), encoder.patch_embed.proj(larger)
    assert torch.allclose(given, wanted, atol=1e-3)
    assert torch.equal(encoder.blocks[0].norm1.weight, whole.blocks[0].norm1.weight)


def test_arguments_are_known_to_timm_for_every_encoder_of_those_modules():
    """The smallest and an arbitrary other of each: made without memory."""
    for name in ("swin_s3_tiny_224", "swinv2_cr_tiny_224", "deit_tiny_distilled_patch16_224"):
        assert any_size(f"tu-{name}")
        with torch.device("meta"):
            timm.create_model(name, **any_size(f"tu-{name}"))
    assert any_size("resnet18") == any_size("tu-convnext_atto") == {}
    tagged = "tu-vit_tiny_patch16_224.augreg_in21k"
    assert outline_model(Model(arch="dpt", encoder=tagged, encoder_weights="none"))
