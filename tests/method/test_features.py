import numpy as np
import pytest
import torch
from torch import nn

from fedseg.config import Model, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.evaluation.inference import infer
from fedseg.method import features
from fedseg.models import checkpoints
from fedseg.models.build import seeded_build
from fedseg.run.progress import silent
from fedseg.storage.arrays import read_array

ARCHITECTURES = ["fpn", "unet", "deeplabv3plus", "segformer", "linknet", "upernet"]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_the_head_reads_beside_the_same_logits(arch):
    network = seeded_build(Model(arch=arch, encoder="resnet18", encoder_weights="none"), 0).eval()
    width = features.feature_width(network)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        output = features.Featured(network, nn.Identity())(image)
        assert torch.equal(output[:, :19], network(image))
    assert output.shape == (1, 19 + width, 64, 64)


@pytest.fixture
def described(make_world, tmp_path):
    """A client's checkpoint, a dataset, and the client's features of it."""
    model = Model(arch="fpn", encoder="tu-lcnet_050", encoder_weights="none")
    info = checkpoints.describe_model(model, Training(crop=(32, 64)))
    checkpoints.save(tmp_path / "client", seeded_build(model, 0).eval(), info)
    dataset = open_dataset(Source(dataset="folder", root=make_world("images", count=5)))
    folder = tmp_path / "features"
    files = features.write_features(tmp_path / "client", dataset, info, folder, silent, "features")
    return tmp_path / "client", dataset, info, files


def test_components_are_centred_whitened_and_uncorrelated(described):
    checkpoint, dataset, _, _ = described
    network, info = checkpoints.load(checkpoint)
    projection = features.principal_components(network, info, dataset)
    featured = features.Featured(network, projection)
    outputs = [out[19:] for *_, out in infer(featured, info, dataset.image, range(len(dataset)))]
    values = torch.cat([output.flatten(1) for output in outputs], dim=1)[-5:]  # the largest ones
    assert torch.allclose(values.mean(dim=1), torch.zeros(5), atol=0.05)
    assert torch.allclose(torch.cov(values), torch.eye(5), atol=0.1)


def test_arrays_on_the_grid_of_the_targets(described):
    _, dataset, info, files = described
    arrays = [read_array(file) for file in files]
    assert len(arrays) == len(dataset)
    rows = info.inference_height // 4
    assert all(a.shape[0] == rows and a.shape[2] == 32 and a.dtype == np.uint8 for a in arrays)


def test_goes_on_where_it_was(described):
    checkpoint, dataset, info, files = described
    whole = [read_array(file).tobytes() for file in files]
    for file in files[2:]:
        file.unlink()
    folder = files[0].parent.parent
    assert features.write_features(checkpoint, dataset, info, folder, silent, "features") == files
    assert [read_array(file).tobytes() for file in files] == whole
