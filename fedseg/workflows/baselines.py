"""What the global model is compared with, made from the same clients."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from fedseg.classes import NUM_CLASSES
from fedseg.config import CENTRALIZED, FEDAVG, FEDDF, Federation
from fedseg.data.dataset import open_dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.data.survey import survey, train_id_counts
from fedseg.distillation.fusion.mean import FEWEST_VOTERS
from fedseg.distillation.student import distill
from fedseg.distillation.target_files import write_fused
from fedseg.files import digest, read_json
from fedseg.models import checkpoints
from fedseg.models.build import Normalisation, best_device, model_inputs
from fedseg.models.checkpoints import Info
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run
from fedseg.run.progress import Progress
from fedseg.storage.provenance import is_product
from fedseg.training.supervised import train_supervised
from fedseg.workflows import server_stages, targets

Clients = dict[str, Path]


def make_baselines(run: Run, federation: Federation, progress: Progress) -> None:
    """Make every baseline model that is not in the run folder already, made from these inputs."""
    clients = good_clients(run, federation)
    train_centralized(run, federation, progress)
    average_weights(run, clients)
    distill_mean(run, federation, clients, progress)


def train_centralized(run: Run, federation: Federation, progress: Progress) -> None:
    """Train one model on the data of all clients at once, as nobody in a federation could.

    It is the global model's architecture, trained with the settings, and for as many iterations,
    as the distillation.
    """
    training = federation.server.distillation
    datasets = [open_dataset(client) for client in federation.clients]
    inputs = {
        "data": [data_inputs(dataset) for dataset in datasets],
        "model": model_inputs(federation.model),
        "training": training.model_dump(mode="json"),
        "seed": federation.seed,
    }
    if is_product(run.baseline(CENTRALIZED), inputs):
        return
    network, info = train_supervised(
        datasets,
        [train_id_counts(dataset, survey(dataset)) for dataset in datasets],
        federation.model,
        training,
        federation.seed,
        run.state / f"centralized-{digest(inputs)}.safetensors",
        partial(progress, "centralized training"),
        run.curve(CENTRALIZED),
    )
    checkpoints.save(run.baseline(CENTRALIZED), network, info, inputs)


def average_weights(run: Run, clients: Clients) -> None:
    """One-shot FedAvg: the mean of the clients' weights, each counting as its number of images.

    McMahan et al., arXiv 1602.05629, algorithm 1, with one round. Nothing is made where the
    clients' architectures differ.
    """
    infos = [checkpoints.load_info(folder) for folder in clients.values()]
    images = [read_json(folder / "client.json")["images"] for folder in clients.values()]
    inputs = {"clients": [checkpoints.identity(f) for f in clients.values()], "images": images}
    kinds = {(*info.model.model_dump().values(), info.mean, info.std) for info in infos}
    if len(kinds) > 1 or is_product(run.baseline(FEDAVG), inputs):
        return
    loaded = [checkpoints.load(folder) for folder in clients.values()]
    states = [network.state_dict() for network, _ in loaded]
    network, info = loaded[0]
    network.load_state_dict(
        {name: _weighted([state[name] for state in states], images) for name in states[0]}
    )
    union = sorted(set().union(*(info.coverage for _, info in loaded)))
    info = info.model_copy(update={"coverage": tuple(union)})
    checkpoints.save(run.baseline(FEDAVG), network, info, inputs)


def _weighted(tensors: list[Tensor], weights: list[int]) -> Tensor:
    total = sum(t.double() * w for t, w in zip(tensors, weights, strict=True)) / sum(weights)
    return total.to(tensors[0].dtype)


def distill_mean(run: Run, federation: Federation, clients: Clients, progress: Progress) -> None:
    """FedDF: distill the plain mean of the clients' probabilities, all of them, all classes.

    Lin et al., arXiv 2006.07242, with one round. Start, images, augmentation and iterations are
    those of the global model, so that what differs is what is distilled.
    """
    plain = federation.server.distillation.model_copy(
        update={"class_balance": 0.0, "temperature": 1.0}
    )
    images = open_dataset(federation.server, labelled=False)
    info = checkpoints.load_info(run.global_model)
    inputs = server_stages.distillation_inputs(run, federation, clients)
    inputs = inputs | {"distillation": plain.model_dump(mode="json")}
    if is_product(run.baseline(FEDDF), inputs):
        return
    teachers = targets.teachers_of(clients)
    targets.predict_all(run, teachers, images, info, federation.server.labelling, progress)
    for teacher in teachers.values():
        teacher.coverage = set(range(NUM_CLASSES))
    folder = run.baseline("targets") / digest(inputs)
    write_fused(folder, plain, teachers, list(range(len(images))), progress)
    network = distill(
        images,
        folder,
        server_stages.starting_point(run, federation, clients),
        info,
        plain,
        federation.seed,
        run.state / f"feddf-{digest(inputs)}.safetensors",
        partial(progress, "FedDF"),
        run.curve(FEDDF),
    )
    checkpoints.save(run.baseline(FEDDF), network, info, inputs)
    server_stages.remove_working_files(run)


class Ensemble(nn.Module):
    """All clients at once: logits whose softmax is their class-aware mean, as `fusion.fuse` has it.

    Takes images normalised for the first of them.
    """

    def __init__(self, members: list[tuple[nn.Module, Info]]) -> None:
        super().__init__()
        self.members = nn.ModuleList(network for network, _ in members)
        self.infos = [info for _, info in members]
        knows = torch.zeros(len(members), NUM_CLASSES)
        for row, info in zip(knows, self.infos, strict=True):
            row[list(info.coverage)] = 1
        self.register_buffer("knows", knows)

    def forward(self, images: Tensor) -> Tensor:
        """float32 [N, 3, H, W] to logarithms of probabilities, [N, 19, H, W]."""
        total = 0
        for network, info, known in zip(self.members, self.infos, self.knows, strict=True):
            seen = _renormalise(images, self.infos[0].normalisation, info.normalisation)
            logits = network(seen).float().masked_fill(known[:, None, None] == 0, -torch.inf)
            total = total + logits.softmax(dim=1)
        least = FEWEST_VOTERS * len(self.members)
        mean = total / self.knows.sum(dim=0).clamp(min=least)[:, None, None]
        return mean.clamp(min=1e-12).log()


def load_ensemble(clients: Clients) -> Ensemble:
    """The clients as one model, in evaluation mode."""
    members = [checkpoints.load(folder, best_device()) for folder in clients.values()]
    return Ensemble(members).eval().to(best_device())


def ensemble_info(clients: Clients, info: Info) -> Info:
    """Of an ensemble that sees images at the size of another model, normalised for its first."""
    first = checkpoints.load_info(next(iter(clients.values())))
    return info.model_copy(update={"mean": first.mean, "std": first.std})


def _renormalise(images: Tensor, given: Normalisation, wanted: Normalisation) -> Tensor:
    if given == wanted:
        return images
    mean, std, new_mean, new_std = (
        torch.tensor(values, device=images.device)[:, None, None]
        for values in (given.mean, given.std, wanted.mean, wanted.std)
    )
    return (images * std + mean - new_mean) / new_std
