"""What the global model is compared with, made from the same clients: one file for each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fedseg.config import Federation
from fedseg.plugins import blaming
from fedseg.registry import BASELINES
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run
from fedseg.run.progress import Progress
from fedseg.run.records import Inconsistency

Clients = dict[str, Path]
"""Checkpoint folders by name."""


class Baseline(Protocol):
    """Makes a model to compare the global model with."""

    def __call__(
        self, run: Run, federation: Federation, clients: Clients, progress: Progress
    ) -> None:
        """Write the checkpoint folder `run.baseline(NAME)`, by `checkpoints.save`.

        Args:
            run: the run folder.
            federation: its configuration.
            clients: checkpoint folders of the clients, by name.
            progress: receives the state of the work.
        """
        ...


def make_baselines(
    run: Run, federation: Federation, progress: Progress, others: Sequence[str] = ()
) -> None:
    """Make every baseline that is not in the run folder already, made from these inputs.

    Clients whose model the server could not use, or not in time, take no part.

    Args:
        run: the run folder.
        federation: its configuration.
        progress: receives the state of the work.
        others: "module:object" of more; these are always made anew.

    Raises:
        FedsegError: a plugin fails.
    """
    unusable = Inconsistency.read(run.inconsistency).unusable
    clients = {n: c for n, c in good_clients(run, federation).items() if n not in unusable}
    for name in [*BASELINES, *others]:
        make: Baseline = BASELINES.load(name)
        with blaming("baseline", name):
            make(run, federation, clients, progress)
