"""What the stages of the server's part share."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fedseg.config import Distillation, Evaluation, Federation
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.models.checkpoints import Info, describe_model, load_info
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run
from fedseg.run.progress import Progress

Clients = dict[str, Path]
"""Checkpoint folders by name."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """A run folder, its settings, and the clients whose models are in it.

    Datasets are opened when they are first asked for, and once.
    """

    run: Run
    """Paths of all products."""
    federation: Federation
    """The configuration."""
    clients: Clients
    """Checkpoint folders of the clients, by name."""
    progress: Progress
    """Receives the state of the work."""

    @property
    def settings(self) -> Distillation:
        """How the global model is distilled."""
        return self.federation.server.distillation

    @cached_property
    def images(self) -> Dataset:
        """The server's own images; labels are not even looked for."""
        return open_dataset(self.federation.server, labelled=False)

    @cached_property
    def evaluation_sets(self) -> list[tuple[Evaluation, Dataset]]:
        """The labelled sets that models are scored on, with their settings."""
        return [(chosen, open_dataset(chosen)) for chosen in self.federation.evaluation]

    @cached_property
    def student(self) -> Info:
        """Facts of the global model; it knows the classes that at least one client knows."""
        known = [set(load_info(folder).coverage) for folder in self.clients.values()]
        coverage = tuple(sorted(set().union(*known)))
        return describe_model(self.federation.model, self.settings.training, coverage)


def open_context(run: Run, federation: Federation, progress: Progress) -> Context:
    """The context of a run with all clients that have a good upload in its folder."""
    clients = good_clients(run, federation)
    return Context(run=run, federation=federation, clients=clients, progress=progress)
