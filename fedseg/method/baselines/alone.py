"""Each client distilled alone: what its owner could make of the server's images without the others.

The honest measure of a federation is its global model against the best of these, and against the
centralized model with the same adaptation to the server's images.
"""

from pathlib import Path

from fedseg.files import digest
from fedseg.method.context import Context
from fedseg.method.fusion.task import fuse_targets
from fedseg.method.labelling import label_images
from fedseg.method.pipeline import distillation_inputs, remove_working_files
from fedseg.method.student import Student, starting_points
from fedseg.method.teachers import open_teachers
from fedseg.models import checkpoints
from fedseg.run.folder import CENTRALIZED, alone_name
from fedseg.storage.provenance import is_product


def make(context: Context) -> None:
    """Distill every client alone, and the centralized model: as many students.

    Labels, balance, sharpening and iterations are those of the global model; the student starts
    from the client itself, if that has the global model's architecture. It sees the server's own
    images only, and there are no features to fuse.
    """
    models = dict(context.clients)
    centralized = context.run.baseline(CENTRALIZED)
    if centralized.is_dir():
        models[CENTRALIZED] = centralized
    for name, folder in models.items():
        _distill_alone(context, name, folder)
    remove_working_files(context)


def _distill_alone(context: Context, name: str, client: Path) -> None:
    run, images, clients = context.run, context.images, {name: client}
    settings = context.settings.model_copy(update={"fusion": "mean", "votes": "equal"})
    info = checkpoints.load_info(run.global_model)
    info = info.model_copy(update={"coverage": checkpoints.load_info(client).coverage})
    inputs = distillation_inputs(context, clients) | {
        "distillation": settings.model_dump(mode="json"),
        "alone": True,
    }
    if is_product(run.baseline(alone_name(name)), inputs):
        return
    teachers = open_teachers(clients)
    if label_images(context, teachers, images, info):
        return  # its model gives nothing usable, of which there is a notice
    targets = run.baseline("targets") / digest(inputs) / "fused"
    fuse_targets(context, teachers, images, targets, settings, info)
    student = Student(
        context=context,
        settings=settings,
        info=info,
        name=alone_name(name),
        title=f"{name} alone",
        inputs=inputs,
    )
    network = student.train(images, targets, starting_points(context.federation, clients, [name]))
    checkpoints.save(run.baseline(alone_name(name)), network, info, inputs)
