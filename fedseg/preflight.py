"""Everything that can be known to be wrong before a federation starts, found before it starts."""

from collections.abc import Callable
from functools import partial

from fedseg.config import Client, Federation, Model, Source
from fedseg.data.dataset import open_dataset
from fedseg.data.survey import survey
from fedseg.errors import FedsegError
from fedseg.models import build, check_size
from fedseg.progress import OnProgress


def check_data(federation: Federation, on_progress: OnProgress) -> None:
    """Open every file of every dataset.

    Args:
        federation: a checked configuration.
        on_progress: called with what is being checked, then as any `OnProgress`.

    Raises:
        FedsegError: the first thing wrong, with the remedy and whose it is.
    """
    for client in federation.clients:
        with_owner(f"client '{client.name}'", lambda c=client: _check_data(c, True, on_progress))
    with_owner("server", lambda: _check_data(federation.server, False, on_progress))
    for chosen in federation.evaluation:
        with_owner(
            f"evaluation '{chosen.name}'", lambda s=chosen: _check_data(s, True, on_progress)
        )


def check_models(federation: Federation) -> None:
    """Build each model once and see that it takes the size of its training crop.

    Raises:
        FedsegError: an unknown name, missing weights or an impossible size.
    """
    wanted: dict[tuple[Model, tuple[int, int]], str] = {
        (federation.model, federation.server.distillation.crop): "the global model"
    }
    for client in federation.clients:
        wanted.setdefault((client.model, client.training.crop), f"client '{client.name}'")
    for (model, crop), owner in wanted.items():
        with_owner(owner, lambda m=model, c=crop: check_size(build(m), c))


def with_owner(owner: str, action: Callable[[], None]) -> None:
    """Run something; its error, if it has one, says whose it is."""
    try:
        action()
    except FedsegError as error:
        raise type(error)(f"{owner}: {error}") from error


def _check_data(source: Source, labelled: bool, on_progress: OnProgress) -> None:
    what = f"{source.dataset} {source.split or ''}".strip()
    dataset = open_dataset(source, labelled, partial(on_progress, f"rendering {what}"))
    if isinstance(source, Client):
        dataset.train_ids()  # a card too coarse to train on is refused here
    survey(dataset, partial(on_progress, f"checking {what}"))
