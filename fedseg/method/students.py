"""How a student is trained on soft targets: in rounds, from the first start that gives a model."""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import nn

from fedseg.config import Distillation, Federation
from fedseg.data.dataset import Dataset
from fedseg.errors import FedsegError, RunFailed
from fedseg.files import digest
from fedseg.method.rounds import join_student
from fedseg.method.student import distill
from fedseg.models import checkpoints
from fedseg.models.build import best_device
from fedseg.run.folder import Run
from fedseg.run.progress import OnProgress, Progress
from fedseg.storage.provenance import Inputs, is_product, notices
from fedseg.training.callbacks import ReportProgress, WriteCurve
from fedseg.training.loop import Settings, TrainingRun
from fedseg.training.tracking import trackers

Starts = dict[str, Callable[[], nn.Module]]
"""Models that a student may start from, the best first, by what they are."""


def training_run(
    run: Run,
    federation: Federation,
    settings: Settings,
    name: str,
    inputs: Inputs,
    progress: OnProgress,
) -> TrainingRun[Settings]:
    """How the server trains a model: each with its own state, curve and trackers.

    Args:
        run: the run folder.
        federation: its configuration.
        settings: of the training.
        name: of the model.
        inputs: what it is made from; a half-done training of other inputs is not resumed.
        progress: called after each step.
    """
    return TrainingRun(
        settings=settings,
        seed=federation.seed,
        device=best_device(),
        state=run.state / f"{name}-{digest(inputs)}.safetensors",
        callbacks=(
            ReportProgress(progress),
            WriteCurve(run.curve(name)),
            *trackers(federation.tracking, run.tracking, run.path.name, name),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Student:
    """A model that is distilled.

    Attributes:
        run: the run folder.
        federation: its configuration.
        settings: of the distillation.
        info: of the model.
        name: of the model, in file names.
        title: of the training, for people.
        inputs: what it is made from.
        progress: receives the state of the work.
    """

    run: Run
    federation: Federation
    settings: Distillation
    info: checkpoints.Info
    name: str
    title: str
    inputs: Inputs
    progress: Progress

    def train(self, images: Dataset, targets: Path, starts: Starts) -> nn.Module:
        """Train it, in as many rounds as configured, which share the iterations.

        Args:
            images: the server's.
            targets: folder of the targets that the teachers made of them; those of later rounds are
                written beside it.
            starts: what it may start from.

        Raises:
            RunFailed: it became finite from no start.
        """
        folder = targets
        for number in range(1, self.settings.rounds):
            done = self._round(number)
            if not is_product(done, self.inputs):
                network = self._train_once(number, images, folder, starts)
                checkpoints.save(done, network, self.info, self.inputs)
            starts = {"the student so far": partial(load_network, done)}
            folder = targets.with_name(f"round-{number}")
            predictions = self.run.predictions
            join_student(done, targets, folder, predictions, images, self.progress)
        network = self._train_once(self.settings.rounds, images, folder, starts)
        for number in range(1, self.settings.rounds):
            shutil.rmtree(self._round(number))
        return network

    def _round(self, number: int) -> Path:
        """The checkpoint folder of the student after a round that is not the last."""
        return self.run.state / f"{self.name}@{number}-{digest(self.inputs)}"

    def _train_once(self, number: int, images: Dataset, targets: Path, starts: Starts) -> nn.Module:
        """Train from one start after another until the result is finite.

        A client's model may pass all checks and still overflow in training.
        """
        settings = self.settings
        iterations = math.ceil(settings.iterations / settings.rounds)
        share = settings.model_copy(update={"iterations": iterations})
        for name, start in starts.items():
            training = training_run(
                self.run,
                self.federation,
                share,
                f"{self.name}@{number}",
                {"start": name, **self.inputs},
                partial(self.progress, self.title),
            )
            training = replace(training, seed=training.seed + number - 1)
            try:
                model = self.federation.model
                network = distill(images, targets, start(), self.info, training, model)
                # All of them: running statistics can overflow where the loss does not.
                weights = network.state_dict()
                list(checkpoints.checked(weights, weights, "the student"))
            except (FloatingPointError, FedsegError) as error:
                if training.state:
                    training.state.unlink(missing_ok=True)
                notices.warning(
                    "%s from %s failed: %s; trying another start", self.title, name, error
                )
            else:
                return network
        raise RunFailed(f"{self.title} gave no finite model from any start; see the notices")


def load_network(folder: Path) -> nn.Module:
    """The model of a checkpoint folder."""
    return checkpoints.load(folder)[0]
