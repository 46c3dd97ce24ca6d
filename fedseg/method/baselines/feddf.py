"""FedDF: the mean of the clients' logits, distilled into the mean of their weights."""

from pathlib import Path

import torch
from torch import nn

from fedseg.evaluation.inference import infer, resize_logits
from fedseg.files import digest
from fedseg.method.baselines import fedavg
from fedseg.method.baselines.ensemble import MeanLogits, ensemble_info, load_ensemble
from fedseg.method.context import Context
from fedseg.method.pipeline import distillation_inputs, remove_working_files
from fedseg.method.student import distill, training_run
from fedseg.method.teachers import target_size, write_target
from fedseg.models import checkpoints
from fedseg.models.build import seeded_build
from fedseg.models.checkpoints import Info
from fedseg.storage.provenance import is_product

NAME = "feddf"
PLAIN = {
    "class_balance": 0.0,
    "temperature": 1.0,
    "fusion": "mean",
    "votes": "equal",
    "loss": "cross_entropy",
}
"""Settings of the global model's distillation that FedDF does not have."""


def make(context: Context) -> None:
    """FedDF: distill the mean of all clients' logits, from the mean of their weights.

    Lin et al., arXiv 2006.07242, algorithm 1, with one round: nothing is balanced or sharpened, and
    every client votes for every class. Where the clients' architectures differ, the student starts
    untrained. Images, augmentation and iterations are those of the global model.
    """
    run = context.run
    plain = context.settings.model_copy(update=PLAIN)
    info = checkpoints.load_info(run.global_model)
    inputs = distillation_inputs(context, context.clients) | {
        "distillation": plain.model_dump(mode="json"),
        "targets": "mean logits",
    }
    if is_product(run.baseline(NAME), inputs):
        return
    fedavg.make(context)
    targets = run.baseline("targets") / digest(inputs)
    _write_targets(context, info, targets)
    training = training_run(context, plain.training, NAME, inputs, "FedDF")
    start = _starting_point(context, info)
    network = distill(context.images, targets, start, info, plain, training)
    checkpoints.save(run.baseline(NAME), network, info, inputs)
    remove_working_files(context)


def _starting_point(context: Context, info: Info) -> nn.Module:
    """FedAvg's model, if there is one and it is of the global model's architecture."""
    averaged = context.run.baseline(fedavg.NAME)
    if averaged.is_dir() and checkpoints.load_info(averaged).model == info.model:
        return checkpoints.load(averaged)[0]
    return seeded_build(context.federation.model, context.federation.seed)


def _write_targets(context: Context, student: Info, folder: Path) -> None:
    images, protocol = context.images, context.federation.server.labelling
    network = load_ensemble(context.clients, MeanLogits)
    info = ensemble_info(context.clients, student)
    outputs = infer(network, info, images.image, range(len(images)), protocol)
    with torch.inference_mode():
        for index, image, logits in outputs:
            probabilities = resize_logits(logits, target_size(image.shape[:2], student)).softmax(
                dim=0
            )
            target = (probabilities * 255).round().to(torch.uint8)
            write_target(folder, index, target.permute(1, 2, 0).cpu().numpy())
            context.progress("FedDF's targets", index + 1, len(images))
