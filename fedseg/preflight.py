"""Everything that can be known to be wrong before a federation starts, found before it starts."""

from collections.abc import Callable
from functools import partial

from fedseg.config import Client, Federation, Model, Source
from fedseg.data.dataset import open_dataset
from fedseg.data.survey import survey
from fedseg.errors import FedsegError
from fedseg.generation.diffusion import fetch
from fedseg.machine import PER_SIMULATION, memory
from fedseg.models import build, check_size
from fedseg.progress import OnProgress


def check_data(federation: Federation, on_progress: OnProgress) -> None:
    """Open every file of every dataset.

    Args:
        federation: a checked configuration.
        on_progress: called with what is done, whose `name` it is, else as any `OnProgress`.

    Raises:
        FedsegError: the first thing wrong, with the remedy and whose it is.
    """
    for client in federation.clients:
        told = partial(on_progress, name=client.name)
        with_owner(f"client '{client.name}'", partial(_check_data, client, True, told))
    _check_server_data(federation, partial(on_progress, name="server"))
    for evaluator in federation.evaluators:
        told = partial(on_progress, name=evaluator.name)
        with_owner(f"evaluator '{evaluator.name}'", partial(_check_data, evaluator, True, told))


def check_memory() -> None:
    """See that a simulation fits into the memory that this process may use.

    Raises:
        FedsegError: it does not.
    """
    if memory() < PER_SIMULATION:
        raise FedsegError(
            f"{memory() / 2**30:.1f} GiB of memory are allowed here, but a simulation needs "
            f"{PER_SIMULATION / 2**30:.1f} at least, and more with larger models; raise the limit "
            "(of a container: docker run --memory, or its Kubernetes limits)"
        )


def check_server(federation: Federation, on_progress: OnProgress) -> None:
    """See that the server's own part can be done: its model, its generator and its data.

    Raises:
        FedsegError: the first thing wrong, with the remedy.
    """
    crop = federation.server.distillation.crop
    with_owner("the global model", lambda: check_size(build(federation.model), crop))
    check_generator(federation)
    _check_server_data(federation, on_progress)


def check_models(federation: Federation) -> None:
    """Build each model once and see that it takes the size of its training crop.

    Raises:
        FedsegError: an unknown name, missing weights or an impossible size.
    """
    for (model, crop), owner in models_of(federation).items():
        with_owner(owner, lambda m=model, c=crop: check_size(build(m), c))


def models_of(federation: Federation) -> dict[tuple[Model, tuple[int, int]], str]:
    """Each different model of a federation with its training crop, and who is the first with it."""
    wanted = {(federation.model, federation.server.distillation.crop): "the global model"}
    for client in federation.clients:
        wanted.setdefault((client.model, client.training.crop), f"client '{client.name}'")
    return wanted


def check_generator(federation: Federation) -> None:
    """See that what makes more images for the server can be had.

    Raises:
        FedsegError: a missing extra, or a checkpoint that can't be used.
    """
    augmentation = federation.server.augmentation
    if augmentation.generator == "diffusion":
        with_owner("server", partial(fetch, augmentation.model))


def with_owner(owner: str, action: Callable[[], None]) -> None:
    """Run something; its error, if it has one, says whose it is."""
    try:
        action()
    except FedsegError as error:
        raise type(error)(f"{owner}: {error}") from error


def _check_data(source: Source, labelled: bool, on_progress: OnProgress) -> None:
    dataset = open_dataset(source, labelled, partial(on_progress, "rendering data"))
    if isinstance(source, Client):
        dataset.train_ids()  # a card too coarse to train on is refused here
    survey(dataset, partial(on_progress, "checking data"))


def _check_server_data(federation: Federation, on_progress: OnProgress) -> None:
    with_owner("server", partial(_check_data, federation.server, False, on_progress))
    for chosen in federation.evaluation:
        check = partial(_check_data, chosen, True, on_progress)
        with_owner(f"evaluation '{chosen.name}'", check)
