import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from fedseg.config import Privacy
from fedseg.data.dataset import open_dataset
from fedseg.errors import PublicError
from fedseg.evaluation.evaluate import evaluate
from fedseg.models import checkpoints
from fedseg.participants.client import train_client
from fedseg.run.progress import FileProgress, read_all, silent
from fedseg.run.uploads import read_upload
from fedseg.storage.hashes import content_hash
from fedseg.training import supervised


def test_a_client_trains_once_and_tells_only_what_it_should(federation, tmp_path):
    client = federation.clients[0]
    progress = FileProgress(tmp_path / "progress", client.name)
    folder = train_client(client, federation.seed, tmp_path / "home", progress)
    upload = read_upload(folder)
    assert upload.info.coverage == (0, 2, 8, 10, 13)
    assert upload.images == 4
    network, _ = checkpoints.load(folder)
    assert upload.sha256 == content_hash(network.state_dict())
    assert str(client.root) not in (folder / "upload.json").read_text()
    assert read_all(tmp_path / "progress")["one"]["done"] == 3
    # Asked again, it hands over what it has; with another seed it trains anew.
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert train_client(client, federation.seed, tmp_path / "home", progress) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert train_client(client, federation.seed + 1, tmp_path / "home", progress) != folder


def test_equal_clients_of_other_names_train_differently(federation, tmp_path):
    client = federation.clients[0]
    twin = client.model_copy(update={"name": "twin"})
    weights = []
    for one in (client, twin):
        folder = train_client(one, 0, tmp_path / one.name, FileProgress(tmp_path, one.name))
        weights.append(checkpoints.load(folder)[0].state_dict())
    name = "segmentation_head.0.weight"
    assert not torch.equal(weights[0][name], weights[1][name])


def test_only_the_newest_checkpoints_are_kept(federation, tmp_path):
    client = federation.clients[0]
    folders = [
        train_client(client, seed, tmp_path / "home", FileProgress(tmp_path, "one"))
        for seed in range(5)
    ]
    assert [folder.exists() for folder in folders] == [False, False, True, True, True]


def test_all_clients_begin_with_the_same_weights(federation, tmp_path, monkeypatch):
    """As in FedAvg: only then does a mean of their weights mean anything."""
    begun = []

    def untrained(network, *_):
        begun.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return network

    monkeypatch.setattr(supervised, "fit", untrained)
    for name, seed in (("one", 0), ("two", 0), ("one", 1)):
        client = federation.clients[0].model_copy(update={"name": name})
        train_client(client, seed, tmp_path / f"{name}-{seed}", silent)
    one, two, other_seed = begun
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other_seed[name]) for name in one)


@pytest.fixture
def with_splits(federation, make_world, tmp_path):
    """A client whose data has a split `val`, of one class that `train` does not have."""
    root = tmp_path / "split"
    for split, classes in (("train", (0, 2, 8, 10, 13)), ("val", (0, 2, 8))):
        world = make_world(f"world-{split}", classes)
        for part in ("images", "labels"):
            shutil.copytree(world / part, root / part / split)
    settings = {"root": root, "split": "train", "validation": "val"}
    return federation.clients[0].model_copy(update=settings)


def test_the_best_by_a_validation_split_is_sent(with_splits, tmp_path, monkeypatch):
    scores = iter([0.9, 0.2, 0.1, 0.3, 0.2, 0.1])
    shown = []

    def judged(network, info, dataset, **_):
        shown.append((dataset.split, content_hash(network.state_dict())))
        return SimpleNamespace(miou=next(scores))

    monkeypatch.setattr("fedseg.participants.client.evaluate", judged)
    folder = train_client(with_splits, 0, tmp_path / "home", silent)
    assert {split for split, _ in shown} == {"val"}
    assert len(shown) == 3  # a look after each of three steps
    assert read_upload(folder).sha256 == shown[0][1]
    # Other validation data may choose another model.
    label = with_splits.root / "labels" / "val" / "0.png"
    Image.fromarray(255 - np.array(Image.open(label))).save(label)
    assert train_client(with_splits, 0, tmp_path / "home", silent) != folder


def test_a_validation_split_for_real(with_splits, tmp_path):
    folder = train_client(with_splits, 0, tmp_path / "home", silent)
    network, info = checkpoints.load(folder)
    assert evaluate(network, info, open_dataset(with_splits.held_out)).miou is not None


def test_private_training_takes_no_validation_split(with_splits, tmp_path):
    private = with_splits.model_copy(update={"privacy": Privacy(epsilon=100.0, delta=0.01)})
    with pytest.raises(PublicError, match="would not cover a validation set"):
        train_client(private, 0, tmp_path / "home", silent)
