"""Time that an image takes a model, and how much longer than usual a client's may take."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fedseg.config import Model, Protocol, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.errors import ModelError
from fedseg.evaluation.inference import infer
from fedseg.models.build import best_device, build
from fedseg.models.checkpoints import describe_model
from fedseg.run.progress import Progress

IMAGES = 4
"""Images that a trial times, after one that is not timed."""
TRIAL_SECONDS = 30.0
"""A trial ends after this time, if it has timed anything by then."""
PATIENCE = 60.0
"""Seconds that any model may label for: less harms nobody."""
SLOWEST = 10
"""Largest time for an image after that, relative to the model that the client was asked for. The
slowest encoder that published recipes use takes 7 times as long as the default."""


class PaceLimit:
    """Passes progress on, and ends the work of a model that is much slower than is usual.

    Args:
        progress: receives the state of the work.
        usual: seconds an image; asked only once the patience is at its end.
    """

    def __init__(self, progress: Progress, usual: Callable[[], float]) -> None:
        self._progress, self._usual = progress, usual
        self._begun: float | None = None
        self._images = 0

    def __call__(self, stage: str, done: int, total: int, /, **details: Any) -> None:
        """Report that an image is done.

        Raises:
            ModelError: the model is too slow.
        """
        self._progress(stage, done, total, **details)
        now = time.monotonic()
        if self._begun is None:  # the first image is not timed: the model was loaded before it
            self._begun = now
            return
        self._images += 1
        spent = now - self._begun
        if spent <= PATIENCE or done == total:
            return
        each, most = spent / self._images, SLOWEST * self._usual()
        if each > most:
            raise ModelError(
                f"its model takes {each:.3g} s an image, more than {SLOWEST} times as long as the "
                f"model it was asked for ({most / SLOWEST:.3g} s)"
            )


def image_seconds(model: Model, training: Training, source: Source, protocol: Protocol) -> float:
    """Time of the prediction on an image, reading it included; measured once."""
    return _measured_seconds(model, training, source.plain, protocol)


@lru_cache(maxsize=256)
def _measured_seconds(
    model: Model, training: Training, source: Source, protocol: Protocol
) -> float:
    dataset = open_dataset(source, labelled=False)
    network = build(model.plain).eval().to(best_device())
    indices = [index % len(dataset) for index in range(IMAGES)]
    info = describe_model(model, training)
    for _ in infer(network, info, dataset.image, indices[:1], protocol):
        pass
    started = time.monotonic()
    done = 0
    for _ in infer(network, info, dataset.image, indices, protocol):
        done += 1
        if time.monotonic() - started > TRIAL_SECONDS:
            break
    return (time.monotonic() - started) / done
