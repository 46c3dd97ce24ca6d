"""Everything that can be known to be wrong before a federation starts, found before it starts.

`quick_checks` come first; what is here builds models and opens images.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

import numpy as np

from fedseg.classes import ClassList
from fedseg.config import Client, Federation, Model, Protocol, Source, Training
from fedseg.data.class_names import untrained_classes
from fedseg.data.dataset import open_dataset
from fedseg.data.images import Size, stored_size
from fedseg.data.survey import survey_labels, train_id_counts
from fedseg.errors import FedsegError, PublicError
from fedseg.evaluation.inference import PLAIN, view_size
from fedseg.method.features import feature_width
from fedseg.method.generation.augmentation import check_generator
from fedseg.models.adapters import freeze_and_adapt
from fedseg.models.build import build, check_size
from fedseg.models.checkpoints import Info, describe_model
from fedseg.planning.quick_checks import (
    Check,
    all_data,
    check_classes,
    failed_checks,
    server_data,
    server_problems,
    with_owner,
)
from fedseg.planning.stages import SERVER, Stage, stages, trainings
from fedseg.run.progress import Progress
from fedseg.storage.provenance import notices
from fedseg.training.losses import check_loss, check_student_loss

SIZES_READ = 500
"""Images of a set, at most about, whose sizes are read."""


def find_problems(
    federation: Federation,
    progress: Progress,
    on_note: Callable[[str], object] = notices.warning,
) -> Iterator[FedsegError]:
    """Everything that is wrong with a simulation that passes `quick_checks`.

    Args:
        federation: a checked configuration.
        progress: receives the state of the work.
        on_note: called with what is worth knowing, where nothing is wrong.

    Yields:
        An error for each thing wrong, with the remedy and whose it is.
    """
    augmentation = federation.server.augmentation
    generator = partial(check_generator, augmentation, federation.classes)
    pixels = np.zeros(len(federation.classes), np.int64)
    checks: list[Check] = [
        federation.tracking.load,
        *_model_checks(federation),
        partial(with_owner, "server", generator),
        *_data_checks(federation, progress, pixels),
    ]
    found = False
    for done, check in enumerate(checks):
        progress("checking", done, len(checks))
        for error in failed_checks([check]):
            found = True
            yield error
    if not found:  # sizes are those of the data and the models, which are right
        yield from failed_checks([partial(check_sizes, federation, progress)])
        if note := untrained_classes(federation.classes, pixels.tolist()):
            on_note(note)


def _data_checks(federation: Federation, progress: Progress, pixels: np.ndarray) -> Iterator[Check]:
    """Checks of all data; those of clients add their labelled pixels to `pixels`, int64 [C]."""
    for owner, name, source, classes in all_data(federation):
        check = partial(_check_data, source, classes, partial(progress, name=name), pixels)
        yield partial(with_owner, owner, check)


def check_server(federation: Federation, progress: Progress) -> None:
    """See that the server's own part can be done: its model, its generator and its data.

    The clients' models, too, are tried at the sizes of the server's images and evaluation sets.

    Raises:
        FedsegError: the first thing wrong, with the remedy.
    """
    for problem in server_problems(federation):
        raise problem
    server, student = federation.server, federation.server.distillation
    check = partial(_check_model, federation.model, student.training, student.fusion)
    with_owner("the global model", check)
    check_student_loss(student.loss, len(federation.classes))
    with_owner("server", partial(check_generator, server.augmentation, federation.classes))
    federation.tracking.load()
    for owner, _, source, classes in server_data(server, federation.evaluation, federation.classes):
        with_owner(owner, partial(_check_data, source, classes, progress))
    check_sizes(federation, progress, has_all_data=False)


def _model_checks(federation: Federation) -> Iterator[Check]:
    """Checks that each model can be built, and trained on its crop with its loss."""
    fusion = federation.server.distillation.fusion
    for stage in trainings(federation):
        check = partial(_check_model, stage.model, stage.training, fusion)
        yield partial(with_owner, stage.owner, check)
    yield partial(check_student_loss, federation.server.distillation.loss, len(federation.classes))
    owners = {client.training.loss: client.name for client in reversed(federation.clients)}
    for loss, owner in owners.items():
        check = partial(check_loss, loss, len(federation.classes))
        yield partial(with_owner, f"client '{owner}'", check)


def _check_model(model: Model, training: Training, fusion: str) -> None:
    network = build(model)
    freeze_and_adapt(network, model)
    if fusion == "features":
        feature_width(network)
    check_size(model, training.crop, training.batch_size)


def check_sizes(federation: Federation, progress: Progress, has_all_data: bool = True) -> None:
    """See that each model takes the sizes at which it will see whole images, or windows of them.

    All models see the server's images and the evaluation sets; in cross-site evaluation clients'
    models see those of the clients too, and the global model sees evaluators' sets.

    Args:
        federation: a checked configuration.
        progress: receives the state of the work.
        has_all_data: whether the data of clients and evaluators is on this machine too.

    Raises:
        FedsegError: a model can't take a size; whose it is, and of which images.
    """
    tried: set[tuple[Model, Size]] = set()
    sizes = lru_cache(_sizes)
    for stage in _seen_by(federation, has_all_data):
        info = describe_model(stage.model, stage.training)
        for size in _seen(sizes(stage.source.plain), info, stage.protocol or PLAIN):
            if (stage.model, size) in tried:
                continue
            tried.add((stage.model, size))
            progress("trying sizes", len(tried), len(tried))
            try:
                check_size(stage.model, size)
            except FedsegError as error:
                raise FedsegError(
                    f"{stage.owner}: {error}; so it would see the images of "
                    f"{stage.source.dataset}: change inference_height, the protocol, or the encoder"
                ) from None


def _seen_by(federation: Federation, has_all_data: bool) -> Iterator[Stage]:
    """Each model with all images that it will see as a whole."""
    for stage in trainings(federation):  # features and the report show all models these, plainly
        yield stage._replace(source=federation.server, protocol=PLAIN)
        if has_all_data and federation.cross_site_evaluation:
            for client in federation.clients:
                yield stage._replace(source=client, protocol=PLAIN)
    for stage in stages(federation):
        if stage.protocol and (stage.worker == SERVER or has_all_data):
            yield stage


def _sizes(source: Source) -> set[Size]:
    """Sizes of a set's images, of a sample spread evenly over it, by the heads of their files."""
    images = open_dataset(source, labelled=False).images
    step = max(len(images) // SIZES_READ, 1)
    return {stored_size(path) for path in images[::step]}


def _seen(images: set[Size], info: Info, protocol: Protocol) -> set[Size]:
    """Sizes at which a model sees images of these sizes: whole, or in windows."""
    whole = {view_size(*image, info, protocol) for image in images}
    if protocol.window is None:
        return whole
    rows, columns = protocol.window
    return {(min(rows, height), min(columns, width)) for height, width in whole}


def _check_data(
    source: Source,
    classes: ClassList | None,
    progress: Progress,
    pixels: np.ndarray | None = None,
) -> None:
    """See that data can be read, and its labels be translated into classes; None: unlabelled.

    The labelled pixels of a client are added to `pixels`, int64 [C].
    """
    labelled = classes is not None
    dataset = open_dataset(source, labelled, progress)
    if classes is not None:
        check_classes(source, classes)
    counts = survey_labels(dataset, progress)
    if classes is not None and isinstance(source, Client):
        own = train_id_counts(dataset, counts, classes).sum(axis=0)
        if not own.any():
            raise PublicError("no labelled pixel in its data; check the card")
        if pixels is not None:
            pixels += own
