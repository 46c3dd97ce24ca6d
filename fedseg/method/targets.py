"""What the server makes of the clients' models before it distills them: the soft targets.

server images -> every client's predictions -> inconsistency, suspects -> generated images of
unstable classes -> predictions on these too -> fused and balanced targets
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from fedseg.classes import ClassList
from fedseg.config import Distillation, Federation
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.data.loading import prefetch
from fedseg.data.shards import sharded
from fedseg.errors import ModelError, RunFailed
from fedseg.method.fusion import mean
from fedseg.method.fusion.task import FusionTask, Teachers
from fedseg.method.generation.candidates import (
    Generator,
    dataset_with,
    judge,
    make_candidates,
)
from fedseg.method.inconsistency import Agreement, record, record_without_suspects
from fedseg.method.pace import PaceLimit, image_seconds
from fedseg.method.teachers import Teacher, predict
from fedseg.method.votes import votes
from fedseg.models import checkpoints
from fedseg.models.build import free_memory
from fedseg.plugins import blaming
from fedseg.registry import FUSION_RULES, GENERATORS
from fedseg.run.folder import Run
from fedseg.run.progress import Progress
from fedseg.run.records import ByClass, Inconsistency
from fedseg.storage.provenance import Inputs, notices


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """What the clients' models label, and how.

    Attributes:
        run: the run folder.
        federation: its configuration.
        clients: checkpoint folder of each client.
        student: of the model to be distilled; its input size sets the size of the targets.
        progress: receives the state of the work.
    """

    run: Run
    federation: Federation
    clients: dict[str, Path]
    student: checkpoints.Info
    progress: Progress


def make_targets(
    labelling: Labelling, folder: Path, inputs: Inputs
) -> tuple[Dataset, Inconsistency]:
    """Write every client's predictions, inconsistency.json, generated/ and the fused targets.

    Args:
        labelling: the run, the clients' models, and how they label.
        folder: for the targets.
        inputs: what all of it is made from.

    Returns:
        The images that the targets belong to: the server's, and the generated ones after them; and
        the content of inconsistency.json.

    Raises:
        RunFailed: too few clients' models can be used.
    """
    run, federation, progress = labelling.run, labelling.federation, labelling.progress
    images = open_dataset(federation.server, labelled=False)
    chosen = list(range(len(images)))
    augmentation = federation.server.augmentation
    teachers = teachers_of(labelling.clients)
    unusable = predict_all(labelling, teachers, images)
    if len(teachers) < federation.min_clients:
        raise RunFailed(f"the models of {', '.join(unusable)} give nothing to distill from")
    most = augmentation.unstable_classes
    everyone = compare(teachers, chosen, progress)
    content = record_without_suspects(
        everyone,
        most,
        lambda names: compare({name: teachers[name] for name in names}, chosen, progress),
    )
    left_out = {"suspects": (*content.suspects, *unusable), "unusable": unusable}
    content = content.model_copy(update=left_out)
    trusted = {name: teachers[name] for name in content.clients}
    if augmentation.generator != "none":
        scores = content.inconsistency
        images, found = _augment(labelling, trusted, images, scores, inputs)
        chosen += found
        after = record(compare(trusted, chosen, progress), most)
        content = content.model_copy(update={"after_augmentation": after.inconsistency})
    content.write(run.inconsistency, inputs)
    kept = replace(images, images=tuple(images.images[index] for index in chosen))
    task = FusionTask(
        folder=folder,
        working=run.predictions,
        settings=federation.server.distillation,
        teachers=trusted,
        images=kept,
        chosen=chosen,
        student=labelling.student,
        seed=federation.seed,
        progress=progress,
        weights=votes(run, list(trusted), federation.classes),
    )
    fusion = federation.server.distillation.fusion
    write_targets = FUSION_RULES.load(fusion)
    with blaming("fusion", fusion):
        write_targets(task)
    task.check()
    return kept, content


def mean_targets(
    labelling: Labelling,
    teachers: Teachers,
    images: Dataset,
    settings: Distillation,
    folder: Path,
) -> None:
    """Write the class-aware mean of what teachers predicted for the server's images.

    Args:
        labelling: how they were labelled.
        teachers: that predicted all images.
        images: the server's.
        settings: how the mean is balanced and sharpened.
        folder: for the targets.
    """
    mean.write_targets(
        FusionTask(
            folder=folder,
            working=labelling.run.predictions,
            settings=settings,
            teachers=teachers,
            images=images,
            chosen=list(range(len(images))),
            student=labelling.student,
            seed=labelling.federation.seed,
            progress=labelling.progress,
        )
    )


def teachers_of(clients: dict[str, Path]) -> Teachers:
    """The clients as teachers, who are yet to predict."""
    return {name: Teacher(folder) for name, folder in clients.items()}


def _augment(
    labelling: Labelling,
    teachers: Teachers,
    images: Dataset,
    inconsistency: ByClass,
    inputs: Inputs,
) -> tuple[Dataset, list[int]]:
    """The server's images with generated ones after them, and which of those are good."""
    run, federation = labelling.run, labelling.federation
    augmentation = federation.server.augmentation
    judges = list(teachers.values())

    def generate() -> list[Path]:  # its model is gone when the clients' are loaded
        make_generator = GENERATORS.load(augmentation.generator)
        classes, most = federation.classes, augmentation.unstable_classes
        with blaming("generator", augmentation.generator):
            generator = make_generator(augmentation, images, judges)
            wanted = weights_of(generator, inconsistency, most, classes)
            return make_candidates(
                generator,
                augmentation.images,
                wanted,
                classes,
                federation.seed,
                run.generated,
                inputs,
                partial(labelling.progress, "generating images"),
            )

    candidates = generate()
    free_memory()
    together = dataset_with(images, candidates)
    predict_all(labelling, teachers, together)
    manifest = run.generated / "manifest.json"
    return together, judge(candidates, len(images), judges, manifest)


def weights_of(
    generator: Generator, inconsistency: ByClass, most: int, classes: ClassList
) -> dict[int, float]:
    """The inconsistency, by trainId, of the most unstable classes that a generator can make."""
    ranked = sorted(((score, name) for name, score in inconsistency.items() if score), reverse=True)
    ids = ((classes.names.index(name), score) for score, name in ranked)
    return dict(islice(((c, score) for c, score in ids if generator.makes(c)), most))


def predict_all(labelling: Labelling, teachers: Teachers, images: Dataset) -> dict[str, str]:
    """Have every client predict every image, shown as `server.labelling` says.

    A client whose model can't, or takes too long, is removed from the teachers, and a notice says
    why.

    Returns:
        The reason by the name of each that was removed.
    """
    unusable = {}
    for name, teacher in list(teachers.items()):
        try:
            teacher.files = predict(
                teacher.checkpoint,
                images,
                labelling.student,
                labelling.run.predictions,
                PaceLimit(
                    partial(labelling.progress, f"labels by {name}"),
                    partial(_usual_seconds, labelling.federation, name),
                ),
                labelling.federation.server.labelling,
            )
        except ModelError as error:
            notices.warning("client '%s' is left out: %s", name, error)
            del teachers[name]
            unusable[name] = str(error)
    return unusable


def _usual_seconds(federation: Federation, name: str) -> float:
    """Seconds that an image takes the model that a client was asked for, or the global model."""
    server = federation.server
    asked = {(c.model.plain, c.training) for c in federation.clients if c.name == name}
    return max(
        image_seconds(model, training, server, server.labelling)
        for model, training in asked | {(federation.model.plain, federation.training)}
    )


def compare(teachers: Teachers, chosen: list[int], progress: Progress) -> Agreement:
    """Count on which of the chosen images' cells the clients agree."""
    coverage = {name: teacher.coverage for name, teacher in teachers.items()}
    classes = next(iter(teachers.values())).class_list
    agreement = Agreement(coverage, classes)

    def count(index: int) -> Agreement:
        counted = Agreement(coverage, classes)
        counted.update([teacher.classes(index) for teacher in teachers.values()])
        return counted

    for done, counted in enumerate(sharded(partial(prefetch, count), chosen), 1):
        agreement.add(counted)
        progress("comparing clients", done, len(chosen))
    return agreement
