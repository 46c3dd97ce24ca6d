"""Everything that can be known to be wrong before a federation starts, found before it starts."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from fedseg.classes import ClassList
from fedseg.config import Client, Federation, Model, Protocol, Source, Training
from fedseg.data.cards import load_card
from fedseg.data.class_names import check_class_names, untrained_classes
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.data.images import Size, stored_size
from fedseg.data.label_map import LabelMap
from fedseg.data.survey import survey, train_id_counts
from fedseg.distillation.features import feature_width
from fedseg.distillation.generation.diffusion import fetch
from fedseg.errors import FedsegError, PublicError
from fedseg.evaluation.inference import PLAIN, view_sizes
from fedseg.machine import PER_SIMULATION, memory
from fedseg.models.adapters import adapt
from fedseg.models.build import build, check_size
from fedseg.models.checkpoints import Info, describe
from fedseg.run.progress import OnProgress
from fedseg.storage.provenance import notices

SIZES_READ = 500
"""Images of a set, at most about, whose sizes are read."""


def problems(
    federation: Federation,
    on_progress: OnProgress,
    on_note: Callable[[str], object] = notices.warning,
) -> Iterator[FedsegError]:
    """Everything that is wrong with a simulation, and can be known before it starts.

    Args:
        federation: a checked configuration.
        on_progress: called with what is done, whose `name` it is, else as any `OnProgress`.
        on_note: called with what is worth knowing, where nothing is wrong.

    Yields:
        An error for each thing wrong, with the remedy and whose it is.
    """
    pixels = np.zeros(len(federation.classes), np.int64)
    checks: list[Callable[[], None]] = [partial(check_class_names, federation), check_memory]
    checks += [
        *_model_checks(federation),
        partial(check_trackers, federation),
        partial(check_generator, federation),
        *_data_checks(federation, on_progress, pixels),
    ]
    found = False
    for done, check in enumerate(checks):
        on_progress("checking", done, len(checks))
        try:
            check()
        except FedsegError as error:
            found = True
            yield error
    if not found:  # sizes are those of the data and the models, which are right
        try:
            check_sizes(federation, on_progress)
        except FedsegError as error:
            yield error
        if note := untrained_classes(federation.classes, pixels.tolist()):
            on_note(note)


def check_data(federation: Federation, on_progress: OnProgress) -> None:
    """Open every file of every dataset.

    Args:
        federation: a checked configuration.
        on_progress: called with what is done, whose `name` it is, else as any `OnProgress`.

    Raises:
        FedsegError: the first thing wrong, with the remedy and whose it is.
    """
    for check in _data_checks(federation, on_progress, np.zeros(len(federation.classes), np.int64)):
        check()


def _data_checks(
    federation: Federation, on_progress: OnProgress, pixels: np.ndarray
) -> Iterator[Callable[[], None]]:
    """Checks of everybody's data; those of clients add their labelled pixels to `pixels`."""
    everyone: list[tuple[str, str, Source]] = [("client", c.name, c) for c in federation.clients]
    everyone += [
        ("validation of client", c.name, c.held_out) for c in federation.clients if c.held_out
    ]
    everyone += [("evaluator", one.name, one) for one in federation.evaluators]
    for role, name, source in everyone:
        notify = partial(on_progress, name=name)
        check = partial(_check_data, source, federation.classes, notify, pixels)
        yield partial(with_owner, f"{role} '{name}'", check)
    yield from _server_data_checks(federation, partial(on_progress, name="server"))


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

    The clients' models, too, are tried at the sizes of the server's images and evaluation sets.

    Raises:
        FedsegError: the first thing wrong, with the remedy.
    """
    student = federation.server.distillation
    check = partial(_check_model, federation.model, student, student.fusion)
    with_owner("the global model", check)
    check_generator(federation)
    check_trackers(federation)
    for check_data in _server_data_checks(federation, on_progress):
        check_data()
    check_sizes(federation, on_progress, has_all_data=False)


def check_models(federation: Federation) -> None:
    """Build each model once and see that it can be trained on its crop.

    Raises:
        FedsegError: an unknown name, missing weights or an impossible size.
    """
    for check in _model_checks(federation):
        check()


def _model_checks(federation: Federation) -> Iterator[Callable[[], None]]:
    fusion = federation.server.distillation.fusion
    for (model, training), owner in models_of(federation).items():
        yield partial(with_owner, owner, partial(_check_model, model, training, fusion))


def _check_model(model: Model, training: Training, fusion: str) -> None:
    network = build(model)
    adapt(network, model)
    if fusion == "features":
        feature_width(network)
    check_size(model, training.crop, training.batch_size)


def check_sizes(federation: Federation, on_progress: OnProgress, has_all_data: bool = True) -> None:
    """See that each model takes the sizes at which it will see whole images, or windows of them.

    All models see the server's images and the evaluation sets; in cross-site evaluation clients'
    models see those of the clients too, and the global model sees evaluators' sets.

    Args:
        federation: a checked configuration.
        on_progress: called with a stage, and else as any `OnProgress`.
        has_all_data: whether the data of clients and evaluators is on this machine too.

    Raises:
        FedsegError: a model can't take a size; whose it is, and of which images.
    """
    server = federation.server
    shown: list[tuple[Source, Protocol]] = [(server, server.labelling), (server, PLAIN)]
    shown += [(chosen, chosen.protocol) for chosen in federation.evaluation]
    if has_all_data:
        shown += [(chosen, chosen.protocol) for chosen in federation.evaluators]
        shown += [(c.held_out, PLAIN) for c in federation.clients if c.held_out]
    if has_all_data and federation.cross_site_evaluation:
        shown += [(client, PLAIN) for client in federation.clients]
    sizes = [(_sizes(source), protocol, source) for source, protocol in shown]
    tried: set[tuple[Model, Size]] = set()
    for (model, training), owner in models_of(federation).items():
        info = describe(model, training)
        for images, protocol, source in sizes:
            for size in _seen(images, info, protocol):
                if (model, size) in tried:
                    continue
                tried.add((model, size))
                on_progress("trying sizes", len(tried), len(tried))
                try:
                    check_size(model, size)
                except FedsegError as error:
                    raise FedsegError(
                        f"{owner}: {error}; so it would see the images of {source.dataset}: "
                        "change inference_height, the protocol, or the encoder"
                    ) from None


def _sizes(source: Source) -> set[Size]:
    """Sizes of a set's images, of a sample spread evenly over it, by the heads of their files."""
    images = open_dataset(source, labelled=False).images
    step = max(len(images) // SIZES_READ, 1)
    return {stored_size(path) for path in images[::step]}


def _seen(images: set[Size], info: Info, protocol: Protocol) -> set[Size]:
    """Sizes at which a model sees images of these sizes: whole, or in windows."""
    whole = {size for image in images for size in view_sizes(*image, info, protocol)}
    if protocol.window is None:
        return whole
    rows, columns = protocol.window
    return {(min(rows, height), min(columns, width)) for height, width in whole}


def models_of(federation: Federation) -> dict[tuple[Model, Training], str]:
    """Each different model of a federation with its training, and who is the first with it."""
    wanted: dict[tuple[Model, Training], str] = {}
    seen = set()
    everyone: list[tuple[str, Model, Training]] = [
        ("the global model", federation.model, federation.server.distillation)
    ]
    everyone += [(f"client '{c.name}'", c.model, c.training) for c in federation.clients]
    for owner, model, training in everyone:
        key = (model, training.crop, training.batch_size, training.inference_height)
        if key not in seen:
            seen.add(key)
            wanted[model, training] = owner
    return wanted


def check_generator(federation: Federation) -> None:
    """See that what makes more images for the server can be had.

    Raises:
        FedsegError: a missing extra, or a checkpoint that can't be used.
    """
    augmentation = federation.server.augmentation
    if augmentation.generator == "diffusion":
        with_owner("server", partial(fetch, augmentation.model))
    if augmentation.generator == "streetsim":
        with_owner("server", partial(LabelMap, load_card("streetsim"), federation.classes))


def check_trackers(federation: Federation) -> None:
    """See that the configured trackers are installed.

    Raises:
        FedsegError: the extra of one is missing.
    """
    federation.tracking.load()


def with_owner(owner: str, action: Callable[[], object]) -> None:
    """Run something; its error, if it has one, says whose it is."""
    try:
        action()
    except FedsegError as error:
        raise type(error)(f"{owner}: {error}") from error


def _check_data(
    source: Source,
    classes: ClassList | None,
    on_progress: OnProgress,
    pixels: np.ndarray | None = None,
) -> None:
    """See that data can be read, and its labels be translated into classes; None: unlabelled.

    The labelled pixels of a client are added to `pixels`, int64 [C].
    """
    labelled = classes is not None
    dataset = open_dataset(source, labelled, partial(on_progress, "rendering data"))
    if classes is not None:
        mapped = LabelMap(dataset.card, classes)  # a card of other classes is refused here
        if isinstance(source, Client):
            mapped.train_ids()  # and one too coarse to train on
    counts = survey(dataset, partial(on_progress, "checking data"))
    if classes is not None and isinstance(source, Client):
        check_has_labels(dataset, counts, classes)
        if pixels is not None:
            pixels += train_id_counts(dataset, counts, classes).sum(axis=0)


def check_has_labels(dataset: Dataset, counts: np.ndarray, classes: ClassList) -> None:
    """See that a dataset has a labelled pixel to train on.

    Args:
        dataset: labelled.
        counts: as `survey` gives them.
        classes: of the federation.

    Raises:
        PublicError: it has none.
    """
    if not train_id_counts(dataset, counts, classes).any():
        raise PublicError("no labelled pixel in its data; check the card")


def _server_data_checks(
    federation: Federation, on_progress: OnProgress
) -> Iterator[Callable[[], None]]:
    yield partial(with_owner, "server", partial(_check_data, federation.server, None, on_progress))
    for chosen in federation.evaluation:
        check = partial(_check_data, chosen, federation.classes, on_progress)
        yield partial(with_owner, f"evaluation '{chosen.name}'", check)
