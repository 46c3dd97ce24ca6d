import torch

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
