"""Trainer: FedProx, whose clients stay near the weights that all of them start from.

Li et al., arXiv 1812.06127, eq. 2. One upload is one round.

trainer = "fedprox:train" under [[clients]]
"""

from torch import Tensor, nn

from fedseg.extend import TrainingTask

MU = 0.01


class ProximalLoss:
    """The configured loss plus mu / 2 times the squared distance from the first weights."""

    def __init__(self, task: TrainingTask) -> None:
        self.loss, self.network = task.loss, task.network
        self.first = [p.detach().clone() for p in task.network.parameters()]

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        pairs = zip(self.network.parameters(), self.first, strict=True)
        distance = sum((now - first.to(now.device)).square().sum() for now, first in pairs)
        return self.loss(logits, labels) + MU / 2 * distance


def train(task: TrainingTask) -> nn.Module:
    """Train a client with the proximal term, in fedseg's own loop."""
    return task.fit(ProximalLoss(task))
