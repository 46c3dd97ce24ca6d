"""The student: it learns to predict the soft targets that the clients, fused, gave to images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedseg.config import Distillation, Federation, Model, Training
from fedseg.data.dataset import Dataset
from fedseg.errors import FedsegError, RunFailed
from fedseg.files import digest
from fedseg.method.context import Clients, Context
from fedseg.method.features import WIDTH, Featured, feature_width, from_bytes
from fedseg.method.teachers import read_target
from fedseg.method.views import Views
from fedseg.models import checkpoints
from fedseg.models.adapters import adapted
from fedseg.models.build import best_device, seeded_build
from fedseg.models.checkpoints import Info
from fedseg.registry import STUDENT_LOSSES
from fedseg.storage.provenance import Inputs, notices
from fedseg.training.callbacks import ReportProgress, WriteCurve
from fedseg.training.loop import Settings, TrainingRun, fit
from fedseg.training.losses import load_loss
from fedseg.training.tracking import open_trackers

StudentLoss = Callable[[Tensor, Tensor], Tensor]
"""From logits float32 [N, C, H, W] and target probabilities float32 [N, C, H, W] to a scalar."""
Starts = dict[str, Callable[[], nn.Module]]
"""Models that a student may start from, the best first, by what they are."""


@dataclass(frozen=True, kw_only=True)
class Student:
    """A model that is distilled."""

    context: Context
    """Context of the run."""
    settings: Distillation
    """How it is distilled."""
    info: Info
    """Facts of the model."""
    name: str
    """Name of the model, in file names."""
    title: str
    """Name of the training, for people."""
    inputs: Inputs
    """What it is made from."""

    def train(self, images: Dataset, targets: Path, starts: Starts) -> nn.Module:
        """Train from one start after another until the result is finite.

        A client's model may pass all checks and still overflow in training.

        Args:
            images: the server's.
            targets: folder of their targets.
            starts: what it may start from.

        Returns:
            The model, in evaluation mode on the CPU.

        Raises:
            RunFailed: it became finite from no start.
        """
        for name, start in starts.items():
            run = training_run(
                self.context,
                self.settings.training,
                self.name,
                {"start": name, **self.inputs},
                self.title,
            )
            model = self.context.federation.model
            try:
                network = distill(images, targets, start(), self.info, self.settings, run, model)
                # All of them: running statistics can overflow where the loss does not.
                weights = network.state_dict()
                list(checkpoints.checked_weights(weights, weights, "the student"))
            except (FloatingPointError, FedsegError) as error:
                if run.state:
                    run.state.unlink(missing_ok=True)
                notices.warning(
                    "%s from %s failed: %s; trying another start", self.title, name, error
                )
            else:
                return network
        raise RunFailed(f"{self.title} gave no finite model from any start; see the notices")


def starting_points(federation: Federation, clients: Clients, ranked: Sequence[str]) -> Starts:
    """The models that a distillation may start from, the best first.

    They are the teachers that have the global model's architecture, which saves the steps that
    would teach a new decoder what a road is; and, last, an untrained model.

    Args:
        federation: the configuration.
        clients: checkpoint folders by name.
        ranked: names of the teachers, the best first.
    """
    alike = alike_clients(federation, clients)
    starts: Starts = {
        f"client '{name}'": partial(_load_network, clients[name])
        for name in ranked
        if name in alike
    }
    starts["an untrained model"] = lambda: seeded_build(federation.model, federation.seed)
    return starts


def alike_clients(federation: Federation, clients: Clients) -> list[str]:
    """Names of the clients that have the global model's architecture."""
    infos = {name: checkpoints.load_info(folder) for name, folder in clients.items()}
    return [name for name, info in infos.items() if info.model == federation.model.plain]


def _load_network(folder: Path) -> nn.Module:
    return checkpoints.load(folder)[0]


def training_run(
    context: Context, settings: Settings, name: str, inputs: Inputs, stage: str
) -> TrainingRun[Settings]:
    """How the server trains a model: each with its own state, curve and trackers.

    Args:
        context: of the run.
        settings: of the training.
        name: of the model.
        inputs: what it is made from; a half-done training of other inputs is not resumed.
        stage: what it is reported as.
    """
    run, federation = context.run, context.federation
    return TrainingRun(
        settings=settings,
        seed=federation.seed,
        device=best_device(),
        state=run.state / f"{name}-{digest(inputs)}.safetensors",
        callbacks=(
            ReportProgress(context.progress, stage),
            WriteCurve(run.curve(name)),
            *open_trackers(federation.tracking, run.tracking, run.path.name, name),
        ),
    )


def distill(
    dataset: Dataset,
    targets: Path,
    start: nn.Module,
    info: Info,
    settings: Distillation,
    run: TrainingRun[Training],
    model: Model | None = None,
) -> nn.Module:
    """Train a student on the server's images and their soft targets.

    Where fused features stand after the classes of the targets, it learns these too.

    Args:
        dataset: the server's images.
        targets: folder of the fused targets, one array an image.
        start: the model to train, in place.
        info: facts of that model.
        settings: the loss.
        run: how it is trained.
        model: says what of it is trained; default: all.

    Returns:
        The model, in evaluation mode on the CPU.
    """
    loss, network = partial(class_loss, load_loss(STUDENT_LOSSES, settings.loss)), start
    if read_target(targets, 0).shape[-1] > len(info.classes):
        torch.manual_seed(run.seed)
        network = Featured(start, nn.Conv2d(feature_width(start), WIDTH, 1))
        loss = partial(feature_loss, loss, len(info.classes))
    views = Views(dataset, targets, run.settings, info)
    with adapted(start, model or info.model):
        fit(network, views, loss, info.normalisation, run)
    return start


def class_loss(loss: StudentLoss, logits: Tensor, target: Tensor) -> Tensor:
    """A loss between logits and targets at the logits' size.

    Args:
        loss: of the configuration.
        logits: float32 [N, C, H, W].
        target: uint8 [N, h, w, C], probabilities of which 255 stands for 1; resized to the logits.
    """
    soft = target.permute(0, 3, 1, 2).float()
    soft = soft / soft.sum(dim=1, keepdim=True).clamp(min=1)
    soft = F.interpolate(soft, logits.shape[-2:], mode="bilinear", align_corners=False)
    return loss(logits, soft)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy between soft targets and a student: KL divergence up to a constant.

    The mean over pixels of -sum_c t_c log softmax(z)_c (Hinton et al., arXiv 1503.02531,
    section 2; the temperature is in the targets already).

    Args:
        logits: float32 [N, C, H, W].
        target: float32 [N, C, H, W], probabilities.
    """
    return -(target * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def feature_loss(
    loss: Callable[[Tensor, Tensor], Tensor], classes: int, output: Tensor, target: Tensor
) -> Tensor:
    """The loss of the classes, and the mean squared distance of the features to the fused ones.

    Args:
        loss: of the classes; see `class_loss`.
        classes: C, how many there are.
        output: float32 [N, C + D, H, W], of a `features.Featured` student.
        target: uint8 [N, h, w, C + D], after the classes the fused features, -1..1 as 0..255.
    """
    size = target.shape[1:3]
    fused = from_bytes(target[..., classes:]).permute(0, 3, 1, 2)
    given = F.interpolate(output[:, classes:], size, mode="bilinear", align_corners=False)
    return loss(output[:, :classes], target[..., :classes]) + F.mse_loss(given.tanh(), fused)
