"""Models to compare the global model with."""

from functools import partial

from fedseg import checkpoints
from fedseg.config import Federation
from fedseg.data.dataset import open_dataset
from fedseg.data.survey import survey, train_id_counts
from fedseg.progress import Progress
from fedseg.runs import Run
from fedseg.supervised import train_supervised


def train_upper_bound(run: Run, federation: Federation, progress: Progress) -> None:
    """Train one model on the data of all clients at once, as nobody in a federation could.

    It is the global model's architecture, trained with the settings, and for as many iterations,
    as the distillation. Nothing is done if it is in the run folder already.
    """
    if run.upper_bound.is_dir():
        return
    training = federation.server.distillation
    datasets = [open_dataset(client) for client in federation.clients]
    network, info = train_supervised(
        datasets,
        [train_id_counts(dataset, survey(dataset)) for dataset in datasets],
        federation.model,
        training,
        federation.seed,
        run.state / "upper_bound.safetensors",
        partial(progress, "upper bound"),
    )
    checkpoints.save(run.upper_bound, network, info)
