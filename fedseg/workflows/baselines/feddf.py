"""FedDF: the plain mean of the clients' predictions, distilled."""

from functools import partial

from fedseg.classes import NUM_CLASSES
from fedseg.config import Federation
from fedseg.data.dataset import open_dataset
from fedseg.distillation.student import distill
from fedseg.files import digest
from fedseg.models import checkpoints
from fedseg.models.build import best_device
from fedseg.run.folder import Run
from fedseg.run.progress import Progress
from fedseg.run.records import Inconsistency
from fedseg.storage.provenance import is_product
from fedseg.workflows import server_stages, targets
from fedseg.workflows.baselines import Clients, training_run

NAME = "feddf"


def make(run: Run, federation: Federation, clients: Clients, progress: Progress) -> None:
    """FedDF: distill the plain mean of what all clients predict.

    Lin et al., arXiv 2006.07242, with one round. Unlike there, probabilities are averaged and not
    logits, and a client gives none to classes that it was not trained on. Start, images,
    augmentation and iterations are those of the global model, so that the targets alone differ.
    """
    plain = federation.server.distillation.model_copy(
        update={"class_balance": 0.0, "temperature": 1.0}
    )
    images = open_dataset(federation.server, labelled=False)
    info = checkpoints.load_info(run.global_model)
    inputs = server_stages.distillation_inputs(run, federation, clients)
    inputs = inputs | {"distillation": plain.model_dump(mode="json")}
    if is_product(run.baseline(NAME), inputs):
        return
    labelling = targets.Labelling(
        run=run,
        federation=federation,
        clients=clients,
        student=info,
        device=best_device(),
        progress=progress,
    )
    teachers = targets.teachers_of(clients)
    targets.predict_all(labelling, teachers, images)
    for teacher in teachers.values():
        teacher.coverage = set(range(NUM_CLASSES))
    folder = run.baseline("targets") / digest(inputs)
    targets.mean_targets(labelling, teachers, images, plain, folder)
    content = Inconsistency.read(run.inconsistency)
    starts = server_stages.starting_points(content, federation, clients)
    network = distill(
        images,
        folder,
        next(iter(starts.values()))(),
        info,
        training_run(run, federation, plain, NAME, inputs, partial(progress, "FedDF")),
    )
    checkpoints.save(run.baseline(NAME), network, info, inputs)
    server_stages.remove_working_files(run)
