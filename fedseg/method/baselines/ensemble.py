"""The ensemble: all clients at once, which is as slow as all of them."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from fedseg.files import digest
from fedseg.method.context import Clients, Context
from fedseg.method.fusion.mean import FEWEST_VOTERS
from fedseg.method.scoring import score_model
from fedseg.models import checkpoints
from fedseg.models.build import best_device
from fedseg.models.checkpoints import Info, identity, load_info
from fedseg.models.info import Normalisation

NAME = "ensemble"


def make(context: Context) -> None:
    """Score the ensemble; it has no checkpoint of its own."""
    clients = context.clients
    info = ensemble_info(clients, load_info(context.run.global_model))
    weights = digest([identity(folder) for folder in clients.values()])
    score_model(context, NAME, weights, info, partial(load_ensemble, clients))


class Ensemble(nn.Module):
    """All clients at once: logits whose softmax is their class-aware mean.

    The mean is that of `fusion.mean.cast_votes`. Takes images normalised for the first of them.
    """

    knows: Tensor

    def __init__(self, members: list[tuple[nn.Module, Info]]) -> None:
        super().__init__()
        self.members = nn.ModuleList(network for network, _ in members)
        self.infos = [info for _, info in members]
        knows = torch.zeros(len(members), len(self.infos[0].classes))
        for row, info in zip(knows, self.infos, strict=True):
            row[list(info.coverage)] = 1
        self.register_buffer("knows", knows)

    def logits(self, images: Tensor) -> Iterator[Tensor]:
        """Logits of one member after another, float32 [N, C, H, W]."""
        for network, info in zip(self.members.children(), self.infos, strict=True):
            seen = _renormalise(images, self.infos[0].normalisation, info.normalisation)
            yield network(seen).float()

    def forward(self, images: Tensor) -> Tensor:
        """float32 [N, 3, H, W] to logarithms of probabilities, [N, C, H, W]."""
        total: Tensor = torch.zeros((), device=images.device)
        for logits, known in zip(self.logits(images), self.knows, strict=True):
            masked = logits.masked_fill(known[:, None, None] == 0, -torch.inf)
            total = total + masked.softmax(dim=1)
        least = FEWEST_VOTERS * len(self.members)
        mean = total / self.knows.sum(dim=0).clamp(min=least)[:, None, None]
        return mean.clamp(min=1e-12).log()


class MeanLogits(Ensemble):
    """All clients at once, whatever they were trained on: the mean of their logits."""

    def forward(self, images: Tensor) -> Tensor:
        """float32 [N, 3, H, W] to logits, [N, C, H, W]."""
        total: Tensor = torch.zeros((), device=images.device)
        for logits in self.logits(images):
            total = total + logits
        return total / len(self.members)


def load_ensemble(clients: Clients, kind: type[Ensemble] = Ensemble) -> Ensemble:
    """The clients as one model, in evaluation mode."""
    members = [checkpoints.load(folder, best_device()) for folder in clients.values()]
    return kind(members).eval().to(best_device())


def ensemble_info(clients: Clients, info: Info) -> Info:
    """Facts of an ensemble: the input size of another model, the normalisation of its first."""
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
