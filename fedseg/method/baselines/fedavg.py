"""One-shot FedAvg: the mean of the clients' weights."""

from statistics import median_low

from torch import Tensor, nn

from fedseg.method.context import Clients, Context
from fedseg.models import checkpoints
from fedseg.run.uploads import read_accepted
from fedseg.storage.provenance import is_product

NAME = "fedavg"
MOST_MEDIANS = 3
"""Largest weight of a client, relative to the median number of images: GTA5 has 2.7 times the
images of SYNTHIA, and a lie among five clients of one size makes less than half of the mean."""


def make(context: Context) -> None:
    """One-shot FedAvg: the mean of the clients' weights, each counting as its number of images.

    McMahan et al., arXiv 1602.05629, algorithm 1, with one round; all clients begin with the same
    weights. A number of images is a client's own word, so it counts up to a bound; see
    `bounded_counts`. Nothing is made where the clients' architectures differ.
    """
    clients, averaged = context.clients, context.run.baseline(NAME)
    infos = [checkpoints.load_info(folder) for folder in clients.values()]
    uploads = [read_accepted(folder) for folder in clients.values()]
    images = bounded_counts([upload.images for upload in uploads if upload])
    inputs = {"clients": [checkpoints.identity(f) for f in clients.values()], "images": images}
    kinds = {(info.model, info.mean, info.std) for info in infos}
    if len(kinds) > 1 or is_product(averaged, inputs):
        return
    union = sorted(set().union(*(info.coverage for info in infos)))
    info = infos[0].model_copy(update={"coverage": tuple(union)})
    checkpoints.save(averaged, mean_model(clients, images), info, inputs)


def bounded_counts(images: list[int]) -> list[int]:
    """Numbers of images, none above `MOST_MEDIANS` times their median, the lower of two."""
    most = MOST_MEDIANS * median_low(images)
    return [min(count, most) for count in images]


def mean_model(clients: Clients, images: list[int]) -> nn.Module:
    """The weighted mean of the clients' models, which have one architecture."""
    networks = [checkpoints.load(folder)[0] for folder in clients.values()]
    networks[0].load_state_dict(average_states([n.state_dict() for n in networks], images))
    return networks[0]


def average_states(states: list[dict[str, Tensor]], weights: list[int]) -> dict[str, Tensor]:
    """The weighted mean of models.

    The running variances of normalisation layers become those of all clients' features together,
    the mean of the variances and the variance of the means: a client's mean differs from another's.

    Args:
        states: state dicts of one architecture.
        weights: how much each counts.
    """
    share = [weight / sum(weights) for weight in weights]

    def mean(tensors: list[Tensor]) -> Tensor:
        return sum((s * t for s, t in zip(share, tensors, strict=True)), start=tensors[0] * 0)

    averaged = {}
    for name, first in states[0].items():
        total = mean([state[name].double() for state in states])
        if name.endswith("running_var"):
            of_mean = name.removesuffix("running_var") + "running_mean"
            means = [state[of_mean].double() for state in states]
            middle = mean(means)  # deviations from it: a difference of squares may be negative
            total = total + mean([(m - middle) ** 2 for m in means])
        averaged[name] = total.to(first.dtype)
    return averaged
