"""What private trainings on a node's images have cost, over all runs and restarts.

A budget belongs to images, known by the hash of their files' content, so that neither another name,
folder or card nor a few images more or less make it a new one. The costs of several trainings add
up: basic composition, Dwork and Roth, The Algorithmic Foundations of Differential Privacy (2014),
theorem 3.16.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, NonNegativeFloat, ValidationError

from fedseg.config import Section
from fedseg.errors import PublicError
from fedseg.files import DamagedFile, read_json, write_json
from fedseg.participants.node import NodePrivacy
from fedseg.participants.quota import why_lost
from fedseg.storage.audit import AUDIT, AuditLog
from fedseg.storage.locks import lock_file
from fedseg.training.supervised import PrivacyCost

BUDGET, LOCK = "privacy.json", "privacy.lock"
"""Files of a node's state folder."""
SPENT = "privacy spent"
"""What the audit log calls it."""
ROUNDING = 1 + 1e-9

log = logging.getLogger("flwr")


class Costs(Section):
    """Content of the file."""

    images: dict[str, tuple[NonNegativeFloat, NonNegativeFloat]] = Field({})
    """Epsilon and delta by the hash of an image's content."""


class PrivacyBudget:
    """The budget of a node's images.

    Args:
        folder: the node's state folder.
        privacy: what the owner allows.
    """

    def __init__(self, folder: Path, privacy: NodePrivacy) -> None:
        self.path = folder / BUDGET
        self.total = PrivacyCost(*privacy.total)
        self._lock, self._audit = folder / LOCK, AuditLog(folder / AUDIT)

    def spent(self, images: Sequence[str]) -> PrivacyCost:
        """What was spent on any of some images, at most.

        Args:
            images: hashes of their content.

        Raises:
            PublicError: the record of it is lost.
        """
        costs = self._read()
        known = [costs[image] for image in set(images) if image in costs]
        return PrivacyCost(*map(max, zip(*known, strict=True))) if known else PrivacyCost(0, 0)

    def check(self, images: Sequence[str], cost: PrivacyCost) -> None:
        """See that a training may be paid for.

        Raises:
            PublicError: it would exceed the total, or the record is lost.
        """
        before = self.spent(images)
        after = PrivacyCost(before.epsilon + cost.epsilon, before.delta + cost.delta)
        if any(a > most * ROUNDING for a, most in zip(after, self.total, strict=True)):
            raise PublicError(
                f"its privacy budget is used up: {_shown(before)} of {_shown(self.total)} is "
                f"spent on its data, and this training would cost {_shown(cost)} more "
                "(node.toml, privacy.total_epsilon)"
            )

    def spend(self, images: Sequence[str], cost: PrivacyCost) -> None:
        """Note what a training costs, before it starts: one that is interrupted has spent it.

        Raises what `check` does.
        """
        with lock_file(self._lock):
            self.check(images, cost)
            costs = self._read()
            for image in set(images):
                epsilon, delta = costs.get(image, (0.0, 0.0))
                costs[image] = epsilon + cost.epsilon, delta + cost.delta
            write_json(self.path, {"images": costs})
            self._audit.add(SPENT, images=len(set(images)), epsilon=cost.epsilon, delta=cost.delta)

    def _read(self) -> dict[str, tuple[float, float]]:
        """Epsilon and delta by image."""
        try:
            return dict(Costs.model_validate(read_json(self.path)).images)
        except FileNotFoundError:
            if not self._was_used():
                return {}
            reason = f"{self.path}: missing"
        except (OSError, DamagedFile, ValidationError) as error:
            reason = why_lost(self.path, error)
        log.error("%s; restore a backup, or write {} to it to forget what was spent", reason)
        raise PublicError(
            f"its record of the privacy that was spent, {BUDGET}, is missing or damaged; its owner "
            "must restore it"
        )

    def _was_used(self) -> bool:
        """Whether the audit log says so; its chain need not be whole for that."""
        mark = json.dumps({"event": SPENT})[1:-1].encode()
        try:
            with self._audit.path.open("rb") as file:
                return any(mark in line for line in file)
        except FileNotFoundError:
            return False


def _shown(spent: PrivacyCost) -> str:
    return f"epsilon {spent.epsilon:.4g}, delta {spent.delta:.3g}"
