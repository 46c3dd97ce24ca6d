import shutil

import numpy as np
import pytest
import torch

from fedseg import config
from fedseg.distillation.fusion.mean import fuse
from fedseg.files import read_json, write_json
from fedseg.models import checkpoints
from fedseg.run.clients import good_clients
from fedseg.run.folder import open_run
from fedseg.run.progress import silent
from fedseg.storage import provenance
from fedseg.workflows.baselines import alone, fedavg
from fedseg.workflows.baselines.ensemble import load_ensemble
from fedseg.workflows.server_stages import run_server


@pytest.fixture
def clients(run, federation):
    return good_clients(run, federation)


def test_fedavg_is_the_mean_by_number_of_images(run, federation, clients):
    meta = clients["one"] / "client.json"
    write_json(meta, read_json(meta) | {"images": 12})  # three times as many as the other's 4
    provenance.seal(clients["one"], {})
    fedavg.make(run, federation, clients, silent)
    one, two, mean = (
        checkpoints.load(folder)[0].state_dict()
        for folder in (clients["one"], clients["two"], run.baseline("fedavg"))
    )
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, 0.75 * one[name] + 0.25 * two[name], atol=1e-6)
    union = checkpoints.load_info(run.baseline("fedavg")).coverage
    assert union == (0, 2, 8, 9, 10, 13)


def test_no_mean_of_different_architectures(run, federation, clients):
    path = clients["two"] / "fedseg.json"
    write_json(path, read_json(path) | {"mean": [0.1, 0.2, 0.3]})
    provenance.seal(path.parent, {})
    fedavg.make(run, federation, clients, silent)
    assert not run.baseline("fedavg").exists()


def test_the_ensemble_is_the_class_aware_mean_of_its_members(clients):
    infos = [checkpoints.load_info(folder) for folder in clients.values()]
    ensemble = load_ensemble(clients)
    torch.manual_seed(0)
    images = torch.rand(1, 3, 32, 64)
    with torch.inference_mode():
        given = ensemble(images).softmax(dim=1)[0].permute(1, 2, 0).numpy()
        alone = []
        for folder in clients.values():
            network, of = checkpoints.load(folder)
            logits = network(images)
            logits[:, [c for c in range(19) if c not in of.coverage]] = -1e9
            alone.append(logits.softmax(dim=1)[0].permute(1, 2, 0).numpy() * 255)
    expected = fuse(alone, [set(i.coverage) for i in infos])
    assert np.allclose(given, expected, atol=1e-4)


def test_members_see_their_own_normalisation(clients):
    # The second client's normalisation is changed, and its first layer with it, by nothing: so what
    # it says must be what it says to an image normalised for itself.
    path = clients["two"] / "fedseg.json"
    write_json(path, read_json(path) | {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]})
    provenance.seal(path.parent, {})
    infos = [checkpoints.load_info(folder) for folder in clients.values()]
    ensemble = load_ensemble({"two": clients["two"]})
    both = load_ensemble(clients)
    pixels = torch.rand(1, 3, 32, 64)

    def normalised(info):
        mean, std = (torch.tensor(v)[:, None, None] for v in (info.mean, info.std))
        return (pixels - mean) / std

    with torch.inference_mode():
        one = load_ensemble({"one": clients["one"]})(normalised(infos[0])).exp()
        two = ensemble(normalised(infos[1])).exp()
        together = both(normalised(infos[0])).exp()
    # road (0) is known to both: its chance is the mean of theirs
    assert torch.allclose(together[:, 0], (one[:, 0] + two[:, 0]) / 2, atol=1e-4)


def test_a_client_distilled_alone_is_what_the_federation_of_it_alone_would_be(run, federation):
    """Nothing of the others enters it, and it is made once."""
    run_server(run, federation, silent)
    clients = {name: run.clients / name for name in ("one", "two")}
    alone.make(run, federation, clients, silent)
    weights = run.baseline("one+alone") / "model.safetensors"
    made = weights.read_bytes()
    written = weights.stat().st_mtime_ns
    alone.make(run, federation, clients, silent)
    assert weights.stat().st_mtime_ns == written
    assert checkpoints.load_info(weights.parent).coverage == (0, 2, 8, 10, 13)
    assert made != (run.baseline("two+alone") / "model.safetensors").read_bytes()

    other = open_run(run.path.with_name("other"), federation.model_copy(update={"min_clients": 1}))
    shutil.copytree(run.clients / "one", other.clients / "one")
    run_server(other, config.load(other.config), silent)
    assert made == (other.global_model / "model.safetensors").read_bytes()
