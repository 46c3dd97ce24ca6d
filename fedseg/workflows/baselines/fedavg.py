"""One-shot FedAvg: the mean of the clients' weights."""

import torch
from torch import Tensor

from fedseg.config import Federation
from fedseg.models import checkpoints
from fedseg.run.folder import Run
from fedseg.run.progress import Progress
from fedseg.run.uploads import read_accepted
from fedseg.storage.provenance import is_product
from fedseg.workflows.baselines import Clients

NAME = "fedavg"


def make(run: Run, federation: Federation, clients: Clients, progress: Progress) -> None:
    """One-shot FedAvg: the mean of the clients' weights, each counting as its number of images.

    McMahan et al., arXiv 1602.05629, algorithm 1, with one round. Nothing is made where the
    clients' architectures differ.
    """
    infos = [checkpoints.load_info(folder) for folder in clients.values()]
    uploads = [read_accepted(folder) for folder in clients.values()]
    images = [upload.images for upload in uploads if upload]
    inputs = {"clients": [checkpoints.identity(f) for f in clients.values()], "images": images}
    kinds = {(*info.model.model_dump().values(), info.mean, info.std) for info in infos}
    if len(kinds) > 1 or is_product(run.baseline(NAME), inputs):
        return
    loaded = [checkpoints.load(folder) for folder in clients.values()]
    states = [network.state_dict() for network, _ in loaded]
    network, info = loaded[0]
    network.load_state_dict(
        {name: _weighted([state[name] for state in states], images) for name in states[0]}
    )
    union = sorted(set().union(*(info.coverage for _, info in loaded)))
    info = info.model_copy(update={"coverage": tuple(union)})
    checkpoints.save(run.baseline(NAME), network, info, inputs)


def _weighted(tensors: list[Tensor], weights: list[int]) -> Tensor:
    stacked = torch.stack([t.double() * w for t, w in zip(tensors, weights, strict=True)])
    return (stacked.sum(dim=0) / sum(weights)).to(tensors[0].dtype)
