"""The best of the models that a training goes through, by data that it does not learn from."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from fedseg.run.progress import OnProgress

Judge = Callable[[nn.Module, OnProgress], float]
"""Scores a model, in evaluation mode; higher is better. It reports its progress."""
TIMES = 10
"""How often a training is looked at, the last time at its end."""


def validation_interval(iterations: int) -> int:
    """Steps from one look at a training to the next."""
    return math.ceil(iterations / TIMES)


class Best:
    """What is kept of the best model so far.

    Attributes:
        score: as the judge gave it; minus infinity before the first.
        weights: the state dict, on the CPU.
    """

    def __init__(self, judge: Judge | None, iterations: int) -> None:
        self._judge = judge
        self._every, self._last = validation_interval(iterations), iterations
        self.score = -math.inf
        self.weights: dict[str, Tensor] = {}

    def is_due(self, step: int) -> bool:
        """Whether to look at the model after a step, counted from 1."""
        return self._judge is not None and (step % self._every == 0 or step == self._last)

    def look(self, network: nn.Module, on_progress: OnProgress) -> None:
        """Score a model, and keep it if none was better; it is left in evaluation mode."""
        assert self._judge is not None
        score = self._judge(network.eval(), on_progress)
        if score >= self.score:
            self.score = score
            self.weights = {
                name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()
            }
