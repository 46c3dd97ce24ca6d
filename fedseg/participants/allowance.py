"""What a deployed node's owner allows: how much each task may ask for, and how often.

In a simulation all data is one person's, and nothing of this applies.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import numpy as np

from fedseg.config import Client, Training
from fedseg.data.dataset import Dataset
from fedseg.data.sampling import RareClassSampler
from fedseg.errors import PublicError
from fedseg.files import PRIVATE, write_bytes
from fedseg.participants.node import Node
from fedseg.participants.privacy_budget import PrivacyBudget
from fedseg.participants.quota import DailyQuota
from fedseg.storage.hashes import file_hashes
from fedseg.storage.locks import lock_file
from fedseg.training.supervised import PrivacyCost

REQUEST, TRAINING, SCORE = "request", "training", "score"
MOST_REQUESTS = 1000
"""Requests within a day, answered or refused: each can add lines to the audit log."""
DRAWS, LOCK = "draws.secret", "draws.lock"
"""Files of a node's state folder: what its draws follow from."""
ROUNDING = 1 + 1e-6


class Allowance:
    """What the owner of a node allows the server.

    Args:
        node: the node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._quota = DailyQuota(node.state)

    def count_request(self) -> None:
        """Count a request.

        Raises:
            PublicError: there were too many within a day.
        """
        if self._quota.take(REQUEST, MOST_REQUESTS) is None:
            raise PublicError(f"was asked {MOST_REQUESTS} times within a day; answers no more")

    def count_training(self, task: str) -> None:
        """Count a training; a task that is resumed counts once.

        Raises:
            PublicError: there were too many others within a day.
        """
        most = self._node.limits.trainings_per_day
        if self._quota.take(TRAINING, most, task) is None:
            raise PublicError(
                f"has trained {most} models within a day; no more are trained "
                "(node.toml, limits.trainings_per_day)"
            )

    @contextmanager
    def one_score(self) -> Iterator[None]:
        """Count a confusion matrix that is made in the block, unless that raises.

        Raises:
            PublicError: there were too many within a day.
        """
        most = self._node.limits.scores_per_day
        if (key := self._quota.take(SCORE, most)) is None:
            raise PublicError(
                f"has sent {most} confusion matrices within a day; no more are sent "
                "(node.toml, limits.scores_per_day)"
            )
        try:
            yield
        except Exception:
            self._quota.give_back(SCORE, key)
            raise

    def check_task(self, training: Training) -> None:
        """See that a training is within the owner's bounds, as far as it tells without data.

        Raises:
            PublicError: it is not.
        """
        least, most = self._node.minima, self._node.limits
        _at_least("iterations", training.iterations, least.iterations, "iterations")
        _at_least("batch_size", training.batch_size, least.batch_size, "batch_size")
        _at_least("crop", min(training.crop), least.crop, "crop")
        _at_least("learning_rate", training.learning_rate, least.learning_rate, "learning_rate")
        _at_most("learning_rate", training.learning_rate, most.learning_rate, "learning_rate")
        _at_most("weight_decay", training.weight_decay, most.weight_decay, "weight_decay")

    def check_draws(self, client: Client, counts: np.ndarray) -> None:
        """See that a training draws enough images, and none too often.

        Args:
            client: how it trains.
            counts: int64 [N, C], pixels of each trainId in each image.

        Raises:
            PublicError: it does not.
        """
        training, least = client.training, self._node.minima
        passes = training.iterations * training.batch_size / len(counts)
        _at_least("passes over its images", passes, least.passes, "passes")
        if client.privacy is None:  # which draws all images alike
            shares = RareClassSampler(counts).shares
            _at_least("images that share the draws", 1 / shares.max(), least.images, "images")

    def draw_seed(self, task: str) -> int:
        """Seed of a task's draws, which the server does not know.

        With a seed of the server's, two tasks could draw the same images in all steps but one, and
        the difference of their uploads would be the gradient of that step.

        Args:
            task: a name of all that the training is made from.
        """
        return int.from_bytes(sha256(self._secret() + task.encode()).digest()[:8])

    def pay(self, dataset: Dataset, task: str, cost: PrivacyCost) -> None:
        """Note what a private training costs, and count it, before it starts.

        Raises:
            PublicError: it would exceed the budget of the dataset, or what may be done in a day.
        """
        assert self._node.privacy, "a node that trains privately has a budget"
        budget = PrivacyBudget(self._node.state, self._node.privacy)
        images = file_hashes(dataset.images)
        budget.check(images, cost)  # what is refused is not counted
        self.count_training(task)
        budget.spend(images, cost)

    def _secret(self) -> bytes:
        path = self._node.state / DRAWS
        with lock_file(self._node.state / LOCK):
            if not path.is_file():
                write_bytes(path, secrets.token_bytes(32), PRIVATE)
            return path.read_bytes()


def allowance_of(node: Node) -> Allowance | None:
    """What a node's owner allows; None in a simulation."""
    return None if node.server is None else Allowance(node)


def _at_least(what: str, asked: float, least: float, key: str) -> None:
    if asked * ROUNDING < least:
        raise PublicError(
            f"{what}: {asked:.4g} asked for, but the node trains with {least:g} at least "
            f"(node.toml, minima.{key})"
        )


def _at_most(what: str, asked: float, most: float, key: str) -> None:
    if asked > most * ROUNDING:
        raise PublicError(
            f"{what}: {asked:.4g} asked for, but the node trains with {most:g} at most "
            f"(node.toml, limits.{key})"
        )
