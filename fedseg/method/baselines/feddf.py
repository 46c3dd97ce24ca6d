"""FedDF: the mean of the clients' logits, distilled into the mean of their weights."""

from functools import partial
from pathlib import Path

import torch
from torch import nn

from fedseg.config import Federation
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.evaluation.inference import infer, resize
from fedseg.files import digest
from fedseg.method import pipeline
from fedseg.method.baselines import Clients, fedavg
from fedseg.method.baselines.ensemble import MeanLogits, ensemble_info, load_ensemble
from fedseg.method.student import distill
from fedseg.method.students import training_run
from fedseg.method.teachers import target_size, write_target
from fedseg.models import checkpoints
from fedseg.models.build import seeded_build
from fedseg.models.checkpoints import Info
from fedseg.run.folder import Run
from fedseg.run.progress import OnProgress, Progress
from fedseg.storage.provenance import is_product

NAME = "feddf"
PLAIN = {
    "class_balance": 0.0,
    "temperature": 1.0,
    "class_mix": 0.0,
    "rounds": 1,
    "fusion": "mean",
    "feature_weight": 0.0,
}
"""What the global model's distillation has and FedDF has not."""


def make(run: Run, federation: Federation, clients: Clients, progress: Progress) -> None:
    """FedDF: distill the mean of all clients' logits, from the mean of their weights.

    Lin et al., arXiv 2006.07242, algorithm 1, with one round: nothing is balanced or sharpened, and
    every client votes for every class. Where the clients' architectures differ, the student starts
    untrained. Images, augmentation and iterations are those of the global model.
    """
    plain = federation.server.distillation.model_copy(update=PLAIN)
    images = open_dataset(federation.server, labelled=False)
    info = checkpoints.load_info(run.global_model)
    inputs = pipeline.distillation_inputs(run, federation, clients) | {
        "distillation": plain.model_dump(mode="json"),
        "targets": "mean logits",
    }
    if is_product(run.baseline(NAME), inputs):
        return
    fedavg.make(run, federation, clients, progress)
    folder = run.baseline("targets") / digest(inputs)
    _write_targets(clients, info, images, federation, folder, partial(progress, "FedDF's targets"))
    network = distill(
        images,
        folder,
        _start(run, federation, info),
        info,
        training_run(run, federation, plain, NAME, inputs, partial(progress, "FedDF")),
    )
    checkpoints.save(run.baseline(NAME), network, info, inputs)
    pipeline.remove_working_files(run)


def _start(run: Run, federation: Federation, info: Info) -> nn.Module:
    """FedAvg's model, if there is one and it is of the global model's architecture."""
    averaged = run.baseline(fedavg.NAME)
    if averaged.is_dir() and checkpoints.load_info(averaged).model == info.model:
        return checkpoints.load(averaged)[0]
    return seeded_build(federation.model, federation.seed)


def _write_targets(
    clients: Clients,
    student: Info,
    images: Dataset,
    federation: Federation,
    folder: Path,
    on_image: OnProgress,
) -> None:
    network = load_ensemble(clients, MeanLogits)
    info = ensemble_info(clients, student)
    every = range(len(images))
    outputs = infer(network, info, images.image, every, federation.server.labelling)
    with torch.inference_mode():
        for index, image, logits in outputs:
            probabilities = resize(logits, target_size(image.shape[:2], student)).softmax(dim=0)
            target = (probabilities * 255).round().to(torch.uint8)
            write_target(folder, index, target.permute(1, 2, 0).cpu().numpy())
            on_image(index + 1, len(images))
