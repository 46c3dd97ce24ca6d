"""Centralized training: one model on the data of all clients at once."""

from fedseg.config import Federation, SupervisedTraining
from fedseg.data.dataset import open_dataset
from fedseg.data.fingerprint import data_inputs
from fedseg.data.survey import survey_labels, train_id_counts
from fedseg.method.context import Context
from fedseg.method.student import training_run
from fedseg.models import checkpoints
from fedseg.models.build import model_inputs
from fedseg.registry import LOSSES, plugin_sources
from fedseg.run.folder import CENTRALIZED
from fedseg.storage.provenance import is_product
from fedseg.training.supervised import train_supervised


def make(context: Context) -> None:
    """Train one model on the data of all clients at once, as nobody in a federation could.

    It is the global model's architecture, trained with the settings, and for as many iterations,
    as the distillation, but with the loss of [training].
    """
    federation, folder = context.federation, context.run.baseline(CENTRALIZED)
    training = settings_of(federation)
    datasets = [open_dataset(client) for client in federation.clients]
    inputs = {
        "data": [data_inputs(dataset) for dataset in datasets],
        "model": model_inputs(federation.model),
        "training": training.model_dump(mode="json"),
        "seed": federation.seed,
        **plugin_sources([(LOSSES, training.loss)]),
    }
    if is_product(folder, inputs):
        return
    network, info, _ = train_supervised(
        datasets,
        [train_id_counts(d, survey_labels(d), federation.classes) for d in datasets],
        federation.model,
        training_run(context, training, CENTRALIZED, inputs, "centralized training"),
        federation.seed,
    )
    checkpoints.save(folder, network, info, inputs)


def settings_of(federation: Federation) -> SupervisedTraining:
    """How the centralized model is trained: as the global model, on labels."""
    settings = federation.server.distillation.training.model_dump()
    return SupervisedTraining(**settings, loss=federation.training.loss)
