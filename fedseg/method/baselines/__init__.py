"""What the global model is compared with, made from the same clients: one file for each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from fedseg.method.context import Context
from fedseg.plugins import blame_plugin
from fedseg.registry import BASELINES
from fedseg.run.records import Inconsistency


class Baseline(Protocol):
    """Makes a model to compare the global model with."""

    def __call__(self, context: Context) -> None:
        """Write the checkpoint folder `context.run.baseline(NAME)`, by `checkpoints.save`.

        Args:
            context: the run folder, its configuration, the clients' checkpoint folders, the
                server's images, and the progress.
        """
        ...


def make_baselines(context: Context, others: Sequence[str] = ()) -> None:
    """Make every baseline that is not in the run folder already, made from these inputs.

    Clients whose model the server could not use, or not in time, take no part.

    Args:
        context: of the run.
        others: "module:object" of more; these are always made anew.

    Raises:
        FedsegError: a plugin fails.
    """
    unusable = Inconsistency.read(context.run.inconsistency).unusable
    clients = {name: folder for name, folder in context.clients.items() if name not in unusable}
    context = replace(context, clients=clients)
    for name in [*BASELINES, *others]:
        make: Baseline = BASELINES.load(name)
        with blame_plugin("baseline", name):
            make(context)
