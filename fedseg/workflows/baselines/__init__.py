"""What the global model is compared with, made from the same clients: one file for each."""

from pathlib import Path

from fedseg.config import Distillation, Federation
from fedseg.files import digest
from fedseg.models.build import best_device
from fedseg.registry import BASELINES
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run
from fedseg.run.progress import OnProgress, Progress
from fedseg.storage.provenance import Inputs
from fedseg.training.callbacks import ReportProgress, WriteCurve
from fedseg.training.loop import TrainingRun
from fedseg.training.tracking import trackers

Clients = dict[str, Path]
"""Checkpoint folders by name."""


def training_run(
    run: Run,
    federation: Federation,
    settings: Distillation,
    name: str,
    inputs: Inputs,
    progress: OnProgress,
) -> TrainingRun[Distillation]:
    """How a baseline is trained: like the global model, with its own state, curve and trackers.

    Args:
        run: the run folder.
        federation: its configuration.
        settings: of the training.
        name: of the baseline.
        inputs: what it is made from; a half-done training of other inputs is not resumed.
        progress: called after each step.
    """
    return TrainingRun(
        settings=settings,
        seed=federation.seed,
        device=best_device(),
        state=run.state / f"{name}-{digest(inputs)}.safetensors",
        callbacks=(
            ReportProgress(progress),
            WriteCurve(run.curve(name)),
            *trackers(federation.tracking, run.tracking, run.path.name, name),
        ),
    )


def make_baselines(run: Run, federation: Federation, progress: Progress) -> None:
    """Make every baseline that is not in the run folder already, made from these inputs."""
    clients = good_clients(run, federation)
    for name in BASELINES:
        BASELINES.load(name)(run, federation, clients, progress)
