"""How far a whole simulation is: every stage counts as the pixels that models see in it."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fedseg.config import Federation, Source
from fedseg.data.images import Size
from fedseg.evaluation.inference import view_size
from fedseg.models.checkpoints import describe_model
from fedseg.planning.stages import SERVER, Stage, count_images, stages
from fedseg.run.progress import Progress

BACKWARD = 2
"""Work of a backward pass, in forward passes."""
PARTS = 100
"""Steps of the whole run, as it is reported."""
WHOLE = "whole run"
"""Name of the whole run, as a stage."""

Key = tuple[str, str]
"""Whose work, and which stage of it."""


class WholeRun:
    """A `Progress` that passes everything on, and reports the whole run after it.

    How long a stage takes is taken to be in proportion to the pixels that models see in it. What
    was done before this run was started, and is only reported again, does not count as done in it.
    """

    def __init__(self, federation: Federation, progress: Progress) -> None:
        self._progress = progress
        self._work = stage_work(federation)
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


def stage_work(federation: Federation) -> dict[Key, float]:
    """Pixels that go forward through a model in each stage that is reported, in order."""
    found, count = {}, lru_cache(count_images)
    for stage in stages(federation):
        if stage.worker == SERVER or stage.protocol is None:
            found[stage.worker, stage.name] = stage_pixels(stage, count)
    return found


def stage_pixels(stage: Stage, count: Callable[[Source], tuple[int, Size]]) -> float:
    """Pixels that go forward through the model; a backward pass counts as `BACKWARD` of them."""
    training = stage.training
    if stage.protocol is None:
        rows, columns = training.crop
        steps = training.iterations * training.batch_size
        return float((1 + BACKWARD) * steps * rows * columns)
    images, size = count(stage.source.plain)
    info = describe_model(stage.model, training)
    rows, columns = view_size(*size, info, stage.protocol)
    return float(stage.passes(images) * rows * columns)
