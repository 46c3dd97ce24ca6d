"""The run folder: the interface between the stages of a federation.

config.toml            the resolved configuration
sources.json           fingerprints of the data it was made from, where this machine can read it
clients/<name>/        a checkpoint folder, and client.json
predictions/           the clients' predictions on the server's images   } working files, removed
targets/               the fused soft targets                            } after distillation
cross_site_evaluation/ <model>@<client>.json: confusion matrices of clients' models, if asked
inconsistency.json     agreement between clients by class, and the unstable classes
generated/             images made for unstable classes, with a manifest
global/                the global model, a checkpoint folder
baselines/<name>/      models to compare with, checkpoint folders
evaluation/<model>@<set>.json
result.json            all of the above in one summary
report.html            the same for people, one file
curves/                losses of the trainings that ran in this folder
tracking/              what trackers write, if configured
progress/              how far each worker is
state/                 half-done trainings
notices.txt            what was made again because its inputs changed, and why
audit.jsonl            which uploads were accepted and refused, and what was made of them
log.txt                output of Flower and Ray
"""

import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from fedseg import config
from fedseg.config import Federation
from fedseg.errors import FedsegError
from fedseg.files import check_writable, holders_near, write_text
from fedseg.storage.audit import AUDIT, AuditLog

MOST_KEYS = 5
"""Keys that an error lists."""


FLOWER_STATE = "flower"
"""Folder of state/ that holds Flower's own files while a simulation on a Ray cluster runs."""
CENTRALIZED = "centralized"
"""The model trained on the data of all clients at once."""


def alone(model: str) -> str:
    """What the model is called that is distilled from a client or the centralized model alone."""
    return f"{model}+alone"


def distinct(labels: list[str]) -> list[str]:
    """The labels, as of runs, numbered where one is given twice."""
    return [
        f"{label} #{labels[:place].count(label) + 1}" if labels.count(label) > 1 else label
        for place, label in enumerate(labels)
    ]


class Run:
    """Paths within a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.sources = path / "sources.json"
        self.notices = path / "notices.txt"
        self.clients = path / "clients"
        self.predictions = path / "predictions"
        self.targets = path / "targets"
        self.inconsistency = path / "inconsistency.json"
        self.generated = path / "generated"
        self.global_model = path / "global"
        self.evaluation = path / "evaluation"
        self.result = path / "result.json"
        self.report = path / "report.html"
        self.curves = path / "curves"
        self.tracking = path / "tracking"
        self.progress = path / "progress"
        self.state = path / "state"
        self.log = path / "log.txt"
        self.audit = AuditLog(path / AUDIT)

    def baseline(self, name: str) -> Path:
        """Checkpoint folder of a baseline."""
        return self.path / "baselines" / name

    def baselines(self) -> list[str]:
        """Names of the baselines that are there, sorted."""
        folders = (self.path / "baselines").glob("*/made_from.json")
        return sorted(path.parent.name for path in folders)

    def cross_site_evaluation(self, model: str, site: str) -> Path:
        """Where the score of one client's model on another's data is kept."""
        return self.path / "cross_site_evaluation" / f"{model}@{site}.json"

    def curve(self, training: str) -> Path:
        """Where the losses of a training are kept; a client's is called by the client's name."""
        return self.curves / f"{training}.json"

    def score(self, model: str, dataset: str) -> Path:
        """Where a model's score on an evaluation set is kept."""
        return self.evaluation / f"{model}@{dataset}.json"

    @property
    def has_products(self) -> bool:
        """Whether anything was made in it, be it half a training; logs do not count."""
        folders = [
            *(self.clients, self.predictions, self.targets, self.generated, self.global_model),
            *(self.evaluation, self.curves, self.tracking),
            *(self.path / "baselines", self.path / "cross_site_evaluation"),
            *(folder for folder in self.state.glob("*") if folder.name != FLOWER_STATE),
        ]
        files = (file for folder in folders for file in (folder, *folder.rglob("*")))
        return self.inconsistency.is_file() or any(
            file.is_file() and file.name != AUDIT for file in files
        )

    def clear(self) -> None:
        """Remove what an attempt leaves that made nothing; the audit log stays."""
        shutil.rmtree(self.progress, ignore_errors=True)
        for record in (self.sources, self.notices, self.result, self.report):
            record.unlink(missing_ok=True)

    def forget(self, baselines: Iterable[str]) -> None:
        """Remove baselines and their scores: what they were compared with is made again."""
        for name in baselines:
            shutil.rmtree(self.baseline(name), ignore_errors=True)
            for score in self.evaluation.glob(f"{name}@*.json"):
                score.unlink()


def find_run(folder: Path) -> Run:
    """The run that a folder holds.

    Raises:
        FedsegError: it holds none.
    """
    run = Run(folder.absolute())
    if not run.config.is_file():
        hint = holders_near(folder, run.config.name)
        raise FedsegError(f"{folder}: no run folder; expected {run.config.name} in it{hint}")
    return run


def open_run(path: Path, federation: Federation) -> Run:
    """Make a run folder, or go on with one of the same configuration.

    A folder in which another configuration has made nothing yet is used anew.

    Raises:
        FedsegError: the folder holds another run, or something else.
    """
    run = check_folder(path, federation)
    if not _is_of(run, federation):
        run.clear()
        write_text(run.config, config.dump(federation))
    return run


@contextmanager
def in_use(run: Run) -> Iterator[None]:
    """Keep other processes from using a run folder anew, even if nothing was made in it yet."""
    with run.config.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # given up when the file is closed
        yield


def _is_in_use(run: Run) -> bool:
    with run.config.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def check_folder(path: Path, federation: Federation) -> Run:
    """See that a folder can be, or is, the run folder of a federation; nothing is written yet.

    Raises:
        FedsegError: it holds another run, or something else.
    """
    run = Run(path.absolute())
    check_writable(path)
    if problem := _taken(run, federation):
        raise FedsegError(f"{path}: {problem}")
    return run


def free_folder(path: Path, federation: Federation) -> Path:
    """`path`, or `path-2`, `path-3`, ...: the first that is free or holds a run to resume."""
    others = (path.with_name(f"{path.name}-{number}") for number in count(2))
    folders = chain([path], others)
    return next(folder for folder in folders if not _taken(Run(folder.absolute()), federation))


def _taken(run: Run, federation: Federation) -> str | None:
    """Say why a folder can't be the run folder of a federation; None if it can."""
    if run.config.is_file():
        if _is_of(run, federation):
            return None
        if run.has_products:
            saved = config.load(run.config)
            changed = _listed(config.differing_keys(saved, federation))
            return (
                f"already holds a run with another configuration ({changed}); "
                "choose another --out, or remove the folder"
            )
        if _is_in_use(run):
            return "a run with another configuration is going on in it; choose another --out"
        return None
    if run.path.is_dir() and any(run.path.iterdir()):
        return "is not empty and holds no run; choose another --out"
    return None


def _is_of(run: Run, federation: Federation) -> bool:
    """Whether a run folder is one of a federation."""
    try:
        return config.load(run.config) == federation
    except FedsegError:  # there is none, or it can't be read
        return False


def _listed(keys: list[str]) -> str:
    """Some keys for a person; not all, if they are many."""
    shown = ", ".join(keys[:MOST_KEYS])
    return shown if len(keys) <= MOST_KEYS else f"{shown} and {len(keys) - MOST_KEYS} more"
