import shutil

import numpy as np
import pytest
import torch

from fedseg import config
from fedseg.evaluation.inference import infer, resize_logits
from fedseg.files import app_dir, read_json, write_json
from fedseg.method import student
from fedseg.method.baselines import alone, centralized, fedavg, feddf
from fedseg.method.baselines.ensemble import MeanLogits, load_ensemble
from fedseg.method.context import open_context
from fedseg.method.fusion.mean import cast_votes
from fedseg.method.teachers import read_target
from fedseg.models import checkpoints
from fedseg.run.clients import good_clients
from fedseg.run.folder import open_run
from fedseg.run.progress import silent
from fedseg.storage import provenance
from fedseg.workflows.server import run_server

FOCAL = f"{app_dir()}/examples/plugins/focal.py:focal_loss"


@pytest.fixture
def context(run, federation):
    return open_context(run, federation, silent)


@pytest.fixture
def clients(context):
    return context.clients


def test_fedavg_is_the_mean_by_number_of_images(run, context, clients):
    meta = clients["one"] / "client.json"
    write_json(meta, read_json(meta) | {"images": 12})  # three times as many as the other's 4
    provenance.seal(clients["one"], {})
    fedavg.make(context)
    one, two, mean = (
        checkpoints.load(folder)[0].state_dict()
        for folder in (clients["one"], clients["two"], run.baseline("fedavg"))
    )
    for name, tensor in mean.items():
        if tensor.is_floating_point() and "running_var" not in name:
            assert torch.allclose(tensor, 0.75 * one[name] + 0.25 * two[name], atol=1e-6)
    union = checkpoints.load_info(run.baseline("fedavg")).coverage
    assert union == (0, 2, 8, 9, 10, 13)


def test_variances_are_those_of_all_features_together():
    torch.manual_seed(0)
    features = [torch.randn(300, 3) * 2 + 5, torch.randn(100, 3) - 1]  # of two clients
    layers = []
    for own in features:
        layer = torch.nn.BatchNorm1d(3)
        layer.running_mean = own.mean(dim=0)
        layer.running_var = own.var(dim=0, correction=0)
        layers.append(layer.state_dict())
    pooled = fedavg.average_states(layers, [300, 100])
    together = torch.cat(features)
    assert torch.allclose(pooled["running_mean"], together.mean(dim=0))
    assert torch.allclose(pooled["running_var"], together.var(dim=0, correction=0), rtol=1e-5)
    assert pooled["running_mean"].dtype == torch.float32
    assert pooled["num_batches_tracked"].dtype == torch.int64


def test_pooled_variances_are_never_negative():
    """Of features that never vary, rounding must not leave less than nothing."""
    torch.manual_seed(0)
    layers = []
    for _ in range(3):
        layer = torch.nn.BatchNorm1d(1000)
        layer.running_mean = torch.full((1000,), 0.1) + torch.arange(1000) / 7
        layer.running_var = torch.zeros(1000)
        layers.append(layer.state_dict())
    pooled = fedavg.average_states(layers, [300, 100, 7])
    assert (pooled["running_var"] >= 0).all()
    assert (pooled["running_var"] < 1e-12).all()


def test_feddf_distills_the_mean_logits_from_the_mean_weights(run, federation, monkeypatch):
    """As in the paper; a client votes for classes that it was never shown too."""
    federation = with_features(federation)
    monkeypatch.setattr("fedseg.extras.gated_fusion.STEPS", 2)
    run_server(run, federation, silent)
    clients = good_clients(run, federation)
    seen = {}

    def distill(images, folder, start, info, settings, training):
        seen.update(
            start={k: v.clone() for k, v in start.state_dict().items()},
            target=read_target(folder, 0),
            image=images.image(0),
            settings=settings,
        )
        return start

    monkeypatch.setattr(feddf, "distill", distill)
    feddf.make(open_context(run, federation, silent))
    mean = checkpoints.load(run.baseline("fedavg"))[0].state_dict()
    assert all(torch.equal(mean[name], tensor) for name, tensor in seen["start"].items())
    assert seen["settings"].class_balance == 0
    assert seen["settings"].temperature == 1
    assert seen["settings"].fusion == "mean"

    logits = []
    for folder in clients.values():
        network, info = checkpoints.load(folder)
        [(_, _, found)] = infer(network, info, lambda _: seen["image"], [0])
        logits.append(found)
    size = seen["target"].shape[:2]
    expected = resize_logits(sum(logits) / len(logits), size).softmax(dim=0).permute(1, 2, 0) * 255
    assert np.abs(seen["target"] - expected.numpy()).max() <= 1
    unknown = [c for c in range(19) if c not in {0, 2, 8, 9, 10, 13}]
    assert seen["target"][..., unknown].sum() > 0


def test_mean_logits_are_the_mean_of_logits(clients):
    images = torch.rand(1, 3, 32, 64)
    with torch.inference_mode():
        found = load_ensemble(clients, MeanLogits)(images)
        each = [load_ensemble({k: v}, MeanLogits)(images) for k, v in clients.items()]
    assert torch.allclose(found, sum(each) / len(each), atol=1e-5)


def test_the_centralized_model_has_the_clients_loss_and_nothing_of_the_distillation(
    run, federation_data
):
    def weights(**tables):
        server = federation_data["server"] | {"distillation": tables.get("distillation", {})}
        training = federation_data["training"] | tables.get("training", {})
        data = federation_data | {"server": server, "training": training}
        federation = config.parse(config.Federation, data, run.config)
        centralized.make(open_context(run, federation, silent))
        [file] = run.baseline("centralized").glob("*.safetensors")
        return file.stat().st_mtime_ns, file.read_bytes()

    plain = weights()
    assert weights(distillation={"temperature": 1.0, "fusion": "features"}) == plain
    assert weights(training={"loss": FOCAL})[1] != plain[1]


def test_the_centralized_model_is_adapted_like_a_client(run, federation):
    run_server(run, federation, silent)
    clients = good_clients(run, federation)
    network, info = checkpoints.load(clients["one"])
    checkpoints.save(run.baseline("centralized"), network, info)
    alone.make(open_context(run, federation, silent))
    found, adapted = checkpoints.load(run.baseline("centralized+alone"))
    assert adapted.coverage == info.coverage
    before = network.state_dict()
    assert any(not torch.equal(before[n], t) for n, t in found.state_dict().items())


def test_a_client_alone_has_no_features_to_fuse(run, federation, monkeypatch):
    federation = with_features(federation)
    run_server(run, federation, silent)
    seen = []
    real = student.distill

    def distill(images, folder, *given):
        seen.append(read_target(folder, 0).shape[-1])
        return real(images, folder, *given)

    monkeypatch.setattr(student, "distill", distill)
    context = open_context(run, federation, silent)
    alone.make(context)
    assert seen == [19, 19]
    checkpoints.load(run.baseline("one+alone"))
    alone.make(context)  # it is there
    assert len(seen) == 2


def with_features(federation):
    data = federation.model_dump()
    data["server"]["distillation"] |= {"fusion": "features"}
    return type(federation).model_validate(data)


@pytest.mark.parametrize(
    ("images", "counted"),
    [
        ([4, 4], [4, 4]),
        ([4, 10**9], [4, 12]),
        ([10**9, 300, 250, 280], [840, 300, 250, 280]),
        ([1, 300, 280], [1, 300, 280]),
        ([10**9], [10**9]),
    ],
)
def test_a_number_of_images_counts_up_to_three_medians(images, counted):
    assert fedavg.bounded_counts(images) == counted


def test_a_liar_about_its_images_does_not_become_the_mean(run, context, clients):
    path = clients["two"] / "client.json"
    write_json(path, read_json(path) | {"images": 10**9})
    provenance.seal(path.parent, {})
    fedavg.make(context)
    name = "segmentation_head.0.bias"
    found, one, two = (
        checkpoints.load(folder)[0].state_dict()[name]
        for folder in (run.baseline("fedavg"), clients["one"], clients["two"])
    )
    assert torch.allclose(found, (one + 3 * two) / 4)


def test_no_mean_of_different_architectures(run, context, clients):
    path = clients["two"] / "fedseg.json"
    write_json(path, read_json(path) | {"mean": [0.1, 0.2, 0.3]})
    provenance.seal(path.parent, {})
    fedavg.make(context)
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
    expected = cast_votes(alone, [set(i.coverage) for i in infos]).sum(axis=0)
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
    alone.make(open_context(run, federation, silent))
    weights = run.baseline("one+alone") / "model.safetensors"
    made = weights.read_bytes()
    written = weights.stat().st_mtime_ns
    alone.make(open_context(run, federation, silent))
    assert weights.stat().st_mtime_ns == written
    assert checkpoints.load_info(weights.parent).coverage == (0, 2, 8, 10, 13)
    assert made != (run.baseline("two+alone") / "model.safetensors").read_bytes()

    other = open_run(run.path.with_name("other"), federation.model_copy(update={"min_clients": 1}))
    shutil.copytree(run.clients / "one", other.clients / "one")
    run_server(other, config.load(other.config), silent)
    assert made == (other.global_model / "model.safetensors").read_bytes()
