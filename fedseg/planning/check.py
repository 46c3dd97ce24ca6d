"""`fedseg check`: what is wrong with a federation, and what a simulation of it will take."""

from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedseg.config import Federation
from fedseg.errors import FedsegError
from fedseg.files import check_writable
from fedseg.flower.context import participants
from fedseg.machine import memory
from fedseg.planning.quick_checks import failures, quick_problems
from fedseg.run.progress import Progress

if TYPE_CHECKING:  # it imports torch
    from fedseg.planning.estimate import Cost


@dataclass(frozen=True)
class Report:
    """What was found."""

    problems: list[str]
    """What is wrong, and the remedy."""
    stages: "list[Cost]" = field(default_factory=list)
    """What each part will take; none where something is wrong with the files."""
    licences: dict[str, str] = field(default_factory=dict)
    """Licences of the data and of pretrained weights."""
    notes: list[str] = field(default_factory=list)
    """What is worth knowing, but no reason not to run it."""

    def content(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def check_federation(
    federation: Federation, out: Path, progress: Progress, ray_address: str | None = None
) -> Report:
    """Check all that a simulation needs, and estimate what it takes.

    Where `quick_checks` find something wrong, nothing else is checked.

    Args:
        federation: a checked configuration.
        out: folder on the disk that the run will be written to.
        progress: receives the state of the work.
        ray_address: Ray cluster that would be joined; None: this machine alone.

    Raises:
        FedsegError: the data of a participant is on another machine.
    """
    first = [*quick_problems(federation, ray_address), *failures([partial(check_writable, out)])]
    if first:
        return Report([str(error) for error in first])
    from fedseg.planning import preflight
    from fedseg.planning.disk import check_room
    from fedseg.planning.estimate import estimate
    from fedseg.planning.resources import share
    from fedseg.report.licences import licences  # these import torch

    try:
        shares = share(len(participants(federation)), ray_address)
    except FedsegError as error:
        return Report([str(error)])
    notes: list[str] = []
    problems = [str(error) for error in preflight.problems(federation, progress, notes.append)]
    if problems:
        return Report(problems, notes=notes)
    at_once = min(shares.at_once, len(federation.clients))
    stages = estimate(federation, at_once, progress)
    try:
        check_room(federation, out)
    except FedsegError as error:
        problems.append(str(error))
    largest = max(stages, key=lambda stage: stage.memory)
    if largest.memory > memory():
        problems.append(
            f"memory: {largest.name} will take about {largest.memory / 1e9:.1f} GB, but "
            f"{memory() / 1e9:.1f} GB are allowed here; lower batch_size or crop"
        )
    return Report(problems, stages, licences(federation), notes)
