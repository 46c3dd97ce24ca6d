"""FedS2R from top to bottom: the clients' models become one global model. arXiv 2507.19881.

server images -> label -> compare -> augment -> fuse -> distill -> global model

Every stage keeps what it makes in the run folder, and nothing is made again as long as its inputs
are the same. Nothing here knows Flower.
"""

import shutil
from pathlib import Path
from typing import Any

from fedseg.config import GLOBAL, plugins_of_server
from fedseg.data.dataset import Dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.errors import RunFailed
from fedseg.files import digest
from fedseg.method.context import Clients, Context
from fedseg.method.fusion.task import fuse_targets
from fedseg.method.generation.augmentation import augment, generator_inputs
from fedseg.method.inconsistency import compare_clients, record_agreement, record_without_suspects
from fedseg.method.labelling import label_images
from fedseg.method.reliability import add_trust, combine_weights
from fedseg.method.student import Student, alike_clients, starting_points
from fedseg.method.teachers import Teachers, open_teachers
from fedseg.method.votes import client_votes
from fedseg.models import checkpoints
from fedseg.models.build import model_inputs
from fedseg.run.folder import CENTRALIZED
from fedseg.run.records import Inconsistency
from fedseg.run.result import model_names
from fedseg.storage.hashes import file_hashes
from fedseg.storage.provenance import Inputs, is_product


def make_global_model(context: Context) -> None:
    """Make inconsistency.json, generated/ and global/ in the run folder.

    Nothing is done if they are there already, made from the same clients, images and settings.

    Raises:
        RunFailed: too few clients' models can be used, or no student is finite.
    """
    run, inputs = context.run, distillation_inputs(context, context.clients)
    has_model = is_product(run.global_model, inputs)
    if has_model and Inconsistency.read_if_made_from(run.inconsistency, inputs):
        return
    forget_comparisons(context)
    targets = run.targets / digest(inputs) / "fused"
    images, agreement = make_targets(context, targets, inputs)
    student = Student(
        context=context,
        settings=context.settings,
        info=context.student,
        name=GLOBAL,
        title="distillation",
        inputs=inputs,
    )
    # No label is needed to choose the client that agrees most with the others, or with itself.
    starts = starting_points(context.federation, context.clients, agreement.ranked)
    checkpoints.save(run.global_model, student.train(images, targets, starts), student.info, inputs)
    audit_global_model(context, agreement)
    remove_working_files(context)


def make_targets(context: Context, folder: Path, inputs: Inputs) -> tuple[Dataset, Inconsistency]:
    """Label, compare, augment and fuse.

    Args:
        context: of the run.
        folder: for the fused targets, one for each image.
        inputs: what all of it is made from.

    Returns:
        The images that the targets belong to: the server's, and the generated ones after them; and
        the content of inconsistency.json.

    Raises:
        RunFailed: too few clients' models can be used.
    """
    teachers = open_teachers(context.clients)
    unusable = label_images(context, teachers, context.images, context.student)
    if len(teachers) < context.federation.min_clients:
        raise RunFailed(f"the models of {', '.join(unusable)} give nothing to distill from")
    agreement = find_unstable_classes(context, teachers, unusable)
    teachers = {name: teachers[name] for name in agreement.clients}
    if context.settings.votes == "consistency":
        agreement = add_trust(context, teachers, agreement)
    images, agreement = add_images(context, teachers, agreement, inputs)
    agreement.write(context.run.inconsistency, inputs)
    weights = client_votes(context.run, list(teachers), context.federation.classes)
    if agreement.weights:
        weights = combine_weights([*agreement.weights.values()], weights)
    fuse_targets(context, teachers, images, folder, context.settings, context.student, weights)
    return images, agreement


def find_unstable_classes(
    context: Context, teachers: Teachers, unusable: dict[str, str]
) -> Inconsistency:
    """Count, class by class, how far the clients agree; suspects are left out of the count.

    Args:
        context: of the run.
        teachers: that have labelled the server's images.
        unusable: reasons by name of the clients whose models could not label them.
    """
    progress = context.progress
    content = record_without_suspects(
        compare_clients(teachers, progress),
        context.federation.server.augmentation.unstable_classes,
        lambda names: compare_clients({name: teachers[name] for name in names}, progress),
    )
    suspects = (*content.suspects, *unusable)
    return content.model_copy(update={"suspects": suspects, "unusable": unusable})


def add_images(
    context: Context, teachers: Teachers, agreement: Inconsistency, inputs: Inputs
) -> tuple[Dataset, Inconsistency]:
    """Add generated images of the unstable classes to the server's own.

    Returns:
        All images, which the teachers have labelled; and the agreement, with what it is on them.
    """
    augmentation = context.federation.server.augmentation
    if augmentation.generator == "none":
        return context.images, agreement
    images = augment(context, teachers, agreement.inconsistency, inputs)
    after = record_agreement(
        compare_clients(teachers, context.progress), augmentation.unstable_classes
    )
    return images, agreement.model_copy(update={"after_augmentation": after.inconsistency})


def distillation_inputs(context: Context, clients: Clients) -> dict[str, Any]:
    """All that the targets and a model distilled from some clients are made from."""
    run, federation, server = context.run, context.federation, context.federation.server
    model, plugins = federation.model, plugins_of_server(server)
    # An untrained model is the start only where no client has its architecture.
    starts_from_client = alike_clients(federation, clients)
    return {
        "clients": {name: checkpoints.identity(folder) for name, folder in clients.items()},
        "images": data_inputs(context.images)["images"],
        "cross-site evaluation": digest(
            client_votes(run, list(clients), federation.classes).tolist()
        ),
        "labelling": server.labelling.model_dump(mode="json"),
        "augmentation": generator_inputs(server.augmentation),
        "distillation": server.distillation.model_dump(mode="json"),
        "model": model.model_dump(mode="json", exclude={"encoder_weights"})
        if starts_from_client
        else model_inputs(model),
        "seed": federation.seed,
        **({"plugins": plugins} if plugins else {}),
    }


def forget_comparisons(context: Context) -> None:
    """Remove baselines that were made from the clients and images of before."""
    names = model_names(context.federation, context.run)
    context.run.forget({*names} - {*context.clients, CENTRALIZED, GLOBAL})


def audit_global_model(context: Context, agreement: Inconsistency) -> None:
    """Note which uploads the global model was made from, and which were left out."""
    run, clients = context.run, context.clients
    [weights] = file_hashes([run.global_model / checkpoints.WEIGHTS])
    used = {name: checkpoints.identity(clients[name])[0] for name in agreement.clients}
    left_out = {name: checkpoints.identity(clients[name])[0] for name in agreement.suspects}
    run.audit.add("global model made", weights=weights, clients=used, left_out=left_out)


def remove_working_files(context: Context) -> None:
    """Remove what is large and can be made again."""
    run = context.run
    for working in (run.predictions, run.targets, run.baseline("targets")):
        shutil.rmtree(working, ignore_errors=True)
