"""How far a whole simulation is: every stage counts as the work that it is."""

import time
from typing import Any

from fedseg.config import GLOBAL, Federation, Protocol, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.data.images import stored_size
from fedseg.evaluation.inference import view_size
from fedseg.models.checkpoints import Info, describe
from fedseg.run.progress import Progress

TRAINING = 3
"""Work of a training step on a pixel, in forward passes: one forward, two backward."""
PARTS = 100
"""Steps of the whole run, as it is reported."""
SERVER = "server"
WHOLE = "whole run"
"""What the whole run is called, as a stage."""

Key = tuple[str, str]
"""Whose work, and which stage of it."""


class WholeRun:
    """A `Progress` that passes everything on, and reports the whole run after it.

    How long a stage takes is taken to be in proportion to the pixels that models see in it. What
    was done before this run was started, and is only reported again, does not count as done in it.
    """

    def __init__(self, federation: Federation, progress: Progress) -> None:
        self._progress = progress
        self._work = work(federation)
        self._before: dict[Key, float] = {}
        self._done: dict[Key, float] = {}
        self._shown = -1
        self._started: float | None = None  # when the first work was reported

    def __call__(self, stage: str, done: int, total: int, /, **details: Any) -> None:
        """Report a stage, and the whole run if that has come further."""
        self._progress(stage, done, total, **details)
        key = (str(details.get("name", "")), stage)
        if key not in self._work or not total:
            return
        step = 1
        if self._started is None:
            self._started, step = time.monotonic(), 0  # when the first step began is not known
        for earlier in self._before_this(key):  # their ends need not be reported
            self._before.setdefault(earlier, self._work[earlier])
            self._done[earlier] = self._work[earlier]
        self._before.setdefault(key, self._work[key] * max(done - step, 0) / total)
        self._done[key] = max(self._work[key] * done / total, self._done.get(key, 0.0))
        parts = int(PARTS * sum(self._done.values()) / sum(self._work.values()))
        if parts > self._shown:
            self._shown = parts
            self._progress(WHOLE, parts, PARTS, name="all", **self._left())

    def _before_this(self, key: Key) -> list[Key]:
        """Stages that must be over: all before one of the server, none before a client's."""
        order = list(self._work)
        return order[: order.index(key)] if key[0] == SERVER else []

    def _left(self) -> dict[str, float]:
        """Minutes left, once there is enough done here to tell a speed from."""
        here = sum(self._done.values()) - sum(self._before.values())
        whole = sum(self._work.values())
        if self._started is None or here < whole / PARTS:
            return {}
        seconds = time.monotonic() - self._started
        left = whole - sum(self._done.values())
        return {"minutes left:": left / here * seconds / 60}


def work(federation: Federation) -> dict[Key, float]:
    """What each stage costs, in pixels that go forward through a model, in order.

    Stages have the names under which they are reported.
    """
    server, student = federation.server, federation.server.distillation.training
    infos = {c.name: describe(c.model, c.training) for c in federation.clients}
    found = {(c.name, "training"): _training(c.training) for c in federation.clients}
    for name, info in infos.items():
        found[SERVER, f"labels by {name}"] = _labels(server, info, server.labelling)
    found[SERVER, "distillation"] = _training(student)
    infos[GLOBAL] = describe(federation.model, student)
    for name, info in infos.items():
        for chosen in federation.evaluation:
            found[SERVER, f"{name} on {chosen.name}"] = _labels(chosen, info, chosen.protocol)
    return found


def _training(training: Training) -> float:
    rows, columns = training.crop
    return TRAINING * training.iterations * training.batch_size * rows * columns


def _labels(source: Source, info: Info, protocol: Protocol) -> float:
    dataset = open_dataset(source, labelled=False)
    rows, columns = view_size(*stored_size(dataset.images[0]), info, protocol)
    return len(dataset) * rows * columns
