"""What the global model is compared with, made from the same clients: one file for each."""

from pathlib import Path

from fedseg.config import Federation
from fedseg.registry import BASELINES
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run
from fedseg.run.progress import Progress
from fedseg.run.records import Inconsistency

Clients = dict[str, Path]
"""Checkpoint folders by name."""


def make_baselines(run: Run, federation: Federation, progress: Progress) -> None:
    """Make every baseline that is not in the run folder already, made from these inputs.

    Clients whose model the server could not use, or not in time, take no part.
    """
    unusable = Inconsistency.read(run.inconsistency).unusable
    clients = {n: c for n, c in good_clients(run, federation).items() if n not in unusable}
    for name in BASELINES:
        BASELINES.load(name)(run, federation, clients, progress)
