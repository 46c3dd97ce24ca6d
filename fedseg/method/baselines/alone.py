"""Each client distilled alone: what its owner could make of the server's images without the others.

The honest measure of a federation is its global model against the best of these, and against the
centralized model with the same adaptation to the server's images.
"""

from pathlib import Path

from fedseg.config import Federation
from fedseg.data.dataset import open_dataset
from fedseg.files import digest
from fedseg.method import pipeline, targets
from fedseg.method.baselines import Clients
from fedseg.method.students import Student
from fedseg.models import checkpoints
from fedseg.run.folder import CENTRALIZED, Run, alone
from fedseg.run.progress import Progress
from fedseg.storage.provenance import is_product


def make(run: Run, federation: Federation, clients: Clients, progress: Progress) -> None:
    """Distill every client alone, and the centralized model: as many students.

    Labels, balance, sharpening, rounds and iterations are those of the global model; the student
    starts from the client itself, if that has the global model's architecture. It sees the server's
    own images only, and there are no features to fuse.
    """
    models = dict(clients)
    if run.baseline(CENTRALIZED).is_dir():
        models[CENTRALIZED] = run.baseline(CENTRALIZED)
    for name, folder in models.items():
        _make_one(run, federation, name, folder, progress)
    pipeline.remove_working_files(run)


def _make_one(
    run: Run, federation: Federation, name: str, client: Path, progress: Progress
) -> None:
    one = {"fusion": "mean", "feature_weight": 0.0}
    settings = federation.server.distillation.model_copy(update=one)
    made = run.baseline(alone(name))
    info = checkpoints.load_info(run.global_model)
    info = info.model_copy(update={"coverage": checkpoints.load_info(client).coverage})
    inputs = pipeline.distillation_inputs(run, federation, {name: client}) | {
        "distillation": settings.model_dump(mode="json"),
        "alone": True,
    }
    if is_product(made, inputs):
        return
    labelling = targets.Labelling(
        run=run,
        federation=federation,
        clients={name: client},
        student=info,
        progress=progress,
    )
    images = open_dataset(federation.server, labelled=False)
    teachers = targets.teachers_of(labelling.clients)
    if targets.predict_all(labelling, teachers, images):
        return  # its model gives nothing usable, of which there is a notice
    folder = run.baseline("targets") / digest(inputs) / "fused"
    targets.mean_targets(labelling, teachers, images, settings, folder)
    student = Student(
        run=run,
        federation=federation,
        settings=settings,
        info=info,
        name=alone(name),
        title=f"{name} alone",
        inputs=inputs,
        progress=progress,
    )
    starts = pipeline.starting_points([name], federation, {name: client})
    network = student.train(images, folder, starts)
    checkpoints.save(made, network, info, inputs)
