"""Centralized training: one model on the data of all clients at once."""

from functools import partial

from fedseg.config import Federation, Training
from fedseg.data.dataset import open_dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.data.survey import survey, train_id_counts
from fedseg.method.baselines import Clients
from fedseg.method.students import training_run
from fedseg.models import checkpoints
from fedseg.models.build import model_inputs
from fedseg.registry import LOSSES, sources
from fedseg.run.folder import CENTRALIZED, Run
from fedseg.run.progress import Progress
from fedseg.storage.provenance import is_product
from fedseg.training.supervised import train_supervised


def make(run: Run, federation: Federation, clients: Clients, progress: Progress) -> None:
    """Train one model on the data of all clients at once, as nobody in a federation could.

    It is the global model's architecture, trained with the settings, and for as many iterations,
    as the distillation, but with the loss of [training].
    """
    training = settings_of(federation)
    datasets = [open_dataset(client) for client in federation.clients]
    inputs = {
        "data": [data_inputs(dataset) for dataset in datasets],
        "model": model_inputs(federation.model),
        "training": training.model_dump(mode="json"),
        "seed": federation.seed,
        **sources([(LOSSES, training.loss)]),
    }
    if is_product(run.baseline(CENTRALIZED), inputs):
        return
    network, info, _ = train_supervised(
        datasets,
        [train_id_counts(d, survey(d), federation.classes) for d in datasets],
        federation.model,
        training_run(
            run,
            federation,
            training,
            CENTRALIZED,
            inputs,
            partial(progress, "centralized training"),
        ),
        federation.seed,
    )
    checkpoints.save(run.baseline(CENTRALIZED), network, info, inputs)


def settings_of(federation: Federation) -> Training:
    """How the centralized model is trained; nothing in it is of the distillation alone."""
    settings = federation.server.distillation.model_dump(include=set(Training.model_fields))
    return Training.model_validate(settings | {"loss": federation.training.loss})
