"""What can be known to be wrong with a federation without torch and without opening an image.

All of it is looked at before anything that takes longer, such as the import of torch, the rendering
of embedded data, or the first model.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fedseg.classes import ClassList
from fedseg.config import (
    Client,
    Evaluation,
    Evaluator,
    Federation,
    Model,
    Server,
    Source,
    Tracking,
)
from fedseg.data.class_names import check_class_names
from fedseg.data.dataset import check_source
from fedseg.data.label_map import LabelMap
from fedseg.data.own_datasets import source_card
from fedseg.data.shards import check_cluster
from fedseg.errors import FedsegError
from fedseg.files import check_writable
from fedseg.flower.context import participants
from fedseg.flower.loopback import check_loopback
from fedseg.machine import PER_SIMULATION, memory
from fedseg.models.locations import is_local_file
from fedseg.models.names import check_names
from fedseg.planning.stages import trainings
from fedseg.plugins import is_reference
from fedseg.registry import (
    FUSION_RULES,
    GENERATORS,
    LOSSES,
    MODELS,
    STUDENT_LOSSES,
    TRACKERS,
    TRAINERS,
    Registry,
)
from fedseg.run.folder import check_folder

Check = Callable[[], object]
"""Raises a FedsegError where something is wrong."""


def check_start(federation: Federation, out: Path, ray_address: str | None = None) -> None:
    """See that a simulation may start, as far as can be known at once.

    Args:
        federation: a checked configuration.
        out: the run folder.
        ray_address: Ray cluster that is joined; None: this machine alone.

    Raises:
        FedsegError: the first thing wrong, with the remedy.
    """
    for problem in quick_problems(federation, ray_address):
        raise problem
    check_folder(out, federation)


def quick_problems(federation: Federation, ray_address: str | None = None) -> Iterator[FedsegError]:
    """Everything that is wrong with a simulation and can be known at once.

    Args:
        federation: a checked configuration.
        ray_address: Ray cluster that is joined; None: this machine alone.

    Yields:
        An error for each thing wrong, with the remedy and whose it is.

    Raises:
        FedsegError: the data of a participant is on another machine.
    """
    check_has_data(participants(federation))
    yield from failed_checks(
        [
            partial(check_class_names, federation),
            *plugin_checks(federation),
            check_memory,
            check_loopback,
            partial(check_cluster, ray_address),
            *model_checks(federation),
            *data_checks(all_data(federation)),
        ]
    )


def server_problems(federation: Federation) -> Iterator[FedsegError]:
    """Everything that is wrong with the server's part alone, and can be known at once.

    Args:
        federation: a checked configuration.

    Yields:
        An error for each thing wrong, with the remedy and whose it is.
    """
    own = federation.model, federation.server, federation.tracking
    data = server_data(federation.server, federation.evaluation, federation.classes)
    yield from failed_checks(
        [
            partial(check_server_plugins, *own),
            partial(with_owner, "the global model", partial(check_model_names, federation.model)),
            *data_checks(data),
        ]
    )


def check_submission(federation: Federation, out: Path) -> None:
    """See that a federation may be sent to a server, whose paths are not known here.

    Args:
        federation: a checked configuration.
        out: folder for the results.

    Raises:
        FedsegError: a name that is not known, or a folder that can't be written to.
    """
    for stage in trainings(federation):
        model = stage.model
        with_owner(stage.owner, partial(check_names, model.arch, model.encoder))
    check_writable(out)


def failed_checks(checks: Iterable[Check]) -> Iterator[FedsegError]:
    """The errors of the checks that fail."""
    for check in checks:
        try:
            check()
        except FedsegError as error:
            yield error


def check_has_data(everybody: Iterable[Client | Evaluator]) -> None:
    """See that everybody's data is on this machine.

    Raises:
        FedsegError: somebody names none.
    """
    for participant in everybody:
        if not participant.dataset:
            raise FedsegError(
                f"'{participant.name}' names no dataset: its data is on its own node; run this "
                "with `fedseg deploy run`, or name `dataset` and `root` to simulate it"
            )


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


def model_checks(federation: Federation) -> Iterator[Check]:
    """Checks of the names in each different model, and of its file of weights."""
    for stage in trainings(federation):
        yield partial(with_owner, stage.owner, partial(check_model_names, stage.model))


def check_model_names(model: Model) -> None:
    """See that architecture and encoder are known, and that a file of weights is there.

    Raises:
        FedsegError: with the nearest names, or the file that is missing.
    """
    check_names(model.arch, model.encoder)
    weights = model.encoder_weights
    if is_local_file(weights) and not Path(weights).is_file():
        raise FedsegError(f"encoder_weights: {weights}: no such file")


def plugin_checks(federation: Federation) -> Iterator[Check]:
    """Checks that the plugins of the server and of all clients can be imported."""
    own = federation.model, federation.server, federation.tracking
    yield partial(check_server_plugins, *own)
    for client in federation.clients:
        yield partial(with_owner, f"client '{client.name}'", partial(check_client_plugins, client))


def check_server_plugins(model: Model, server: Server, tracking: Tracking) -> None:
    """See that the server's plugins can be imported, and called as they should be.

    Raises:
        FedsegError: one can't.
    """
    distillation = server.distillation
    chosen = [(MODELS, model.arch), (FUSION_RULES, distillation.fusion)]
    chosen += [(STUDENT_LOSSES, distillation.loss)]
    chosen += [(GENERATORS, server.augmentation.generator)]
    chosen += [(TRACKERS, name) for name in tracking.trackers]
    _check_plugins(chosen)


def check_client_plugins(client: Client) -> None:
    """See that a client's plugins can be imported, and called as they should be.

    Raises:
        FedsegError: one can't.
    """
    _check_plugins(
        [
            (MODELS, client.model.arch),
            (LOSSES, client.training.loss),
            (TRAINERS, client.trainer),
        ]
    )


def _check_plugins(chosen: Iterable[tuple[Registry, str]]) -> None:
    for registry, name in chosen:
        is_plugin = is_reference(name) or name in registry
        if is_plugin and not registry.is_built_in(name):
            registry.load(name)


class Data(NamedTuple):
    """A dataset of a federation."""

    owner: str
    """Whose it is, and what for; for errors."""
    name: str
    """Whose progress it is to look at it."""
    source: Source
    classes: ClassList | None
    """What its labels become; None where they are not used."""


def all_data(federation: Federation) -> Iterator[Data]:
    """All data of a simulated federation."""
    classes = federation.classes
    for client in federation.clients:
        yield Data(f"client '{client.name}'", client.name, client, classes)
    for evaluator in federation.evaluators:
        yield Data(f"evaluator '{evaluator.name}'", evaluator.name, evaluator, classes)
    yield from server_data(federation.server, federation.evaluation, classes)


def server_data(
    server: Server, evaluation: Iterable[Evaluation], classes: ClassList
) -> Iterator[Data]:
    """The data of the server."""
    yield Data("server", "server", server, None)
    for chosen in evaluation:
        yield Data(f"evaluation '{chosen.name}'", "server", chosen, classes)


def data_checks(data: Iterable[Data]) -> Iterator[Check]:
    """Checks that files are where the cards say, and that the cards fit the classes."""
    for owner, _, source, classes in data:
        yield partial(with_owner, owner, partial(_check_files, source, classes))


def _check_files(source: Source, classes: ClassList | None) -> None:
    check_source(source, classes is not None)
    if classes is not None:
        check_classes(source, classes)


def check_classes(source: Source, classes: ClassList) -> None:
    """See that the labels of a dataset can be translated into classes.

    Raises:
        FedsegError: its card has other classes, or a client's has coarser ones.
    """
    mapped = LabelMap(source_card(source), classes)
    if isinstance(source, Client):
        mapped.train_ids()


def with_owner(owner: str, action: Callable[[], object]) -> None:
    """Run something; its error, if it has one, says whose it is."""
    try:
        action()
    except FedsegError as error:
        raise type(error)(f"{owner}: {error}") from error
