"""Feature fusion: a learned gate over the clients, pixel by pixel.

h = tanh(sum over k of g_k A_k f_k), z = W h: f_k is what client k's segmentation head reads, A_k
projects it to one width, g is a softmax over clients computed from all f_k, and W turns the fused
features h into fused logits z. Nobody has labels, so gate, projections and head learn from what the
clients, fused and balanced, say: so small a model follows what they say consistently, and not their
noise.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from fedseg.data.shards import sharded
from fedseg.method.features import WIDTH, from_bytes, to_bytes, write_features
from fedseg.method.fusion import mean
from fedseg.method.fusion.task import FusionTask
from fedseg.method.teachers import read_target, write_target
from fedseg.models.build import best_device
from fedseg.run.progress import Progress, silent
from fedseg.storage.arrays import read_array

STEPS = 500
"""Optimiser steps."""
IMAGES, PIXELS = 4, 1024
"""Images a step, and pixels of each."""
LEARNING_RATE = 1e-2
"""AdamW's, falling to 0 along half a cosine."""


class Gate(nn.Module):
    """Fuses the features of K clients.

    Args:
        widths: number of features of each client.
        classes: number of classes.
    """

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(width, WIDTH) for width in widths)
        self.gate = nn.Linear(sum(widths), len(widths))
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Fuse.

        Args:
            features: each client's, float32 [..., D_k].

        Returns:
            Fused features [..., WIDTH] in -1..1, fused logits [..., C], and the gate's weights
            [..., K], which sum to 1.
        """
        weights = self.gate(torch.cat(features, dim=-1)).softmax(dim=-1)
        projected = [project(f) for project, f in zip(self.projections, features, strict=True)]
        fused = (torch.stack(projected, dim=-1) * weights.unsqueeze(-2)).sum(dim=-1).tanh()
        return fused, self.head(fused), weights


def fit_gate(
    features: Callable[[int], list[np.ndarray]],
    targets: Callable[[int], np.ndarray],
    images: int,
    seed: int,
    device: torch.device,
    progress: Progress = silent,
) -> Gate:
    """Learn to fuse, from soft targets.

    Args:
        features: of an image, by its number: each client's, uint8 [h, w, D_k].
        targets: gives the target of an image, uint8 [h, w, C], 255 = probability 1.
        images: how many there are.
        seed: of every random choice.
        device: where the gate is trained.
        progress: receives the state of the work.

    Returns:
        The gate, in evaluation mode, on that device.
    """
    torch.manual_seed(seed)
    widths = [array.shape[-1] for array in features(0)]
    gate = Gate(widths, targets(0).shape[-1]).to(device)
    optimiser = torch.optim.AdamW(gate.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for step in range(STEPS):
        rng = np.random.default_rng([seed, step])
        samples = [
            _pixels(features, targets, int(rng.integers(images)), rng) for _ in range(IMAGES)
        ]
        *inputs, probabilities = (
            torch.cat(parts).to(device) for parts in zip(*samples, strict=True)
        )
        soft = probabilities.float() / probabilities.sum(dim=-1, keepdim=True).clamp(min=1)
        _, logits, _ = gate([from_bytes(each) for each in inputs])
        loss = -(soft * logits.log_softmax(dim=-1)).sum(dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        progress("learning the gate", step + 1, STEPS, loss=loss.item())
    return gate.eval()


@torch.inference_mode()
def fuse_features(gate: Gate, features: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Fuse an image's features.

    Args:
        gate: fitted.
        features: each client's, uint8 [h, w, D_k].

    Returns:
        Fused features, float32 [h, w, WIDTH] in -1..1, and probabilities, float32 [h, w, C].
    """
    device = next(gate.parameters()).device
    fused, logits, _ = gate([from_bytes(torch.tensor(f, device=device)) for f in features])
    return fused.cpu().numpy(), logits.softmax(dim=-1).cpu().numpy()


def _pixels(
    features: Callable[[int], list[np.ndarray]],
    targets: Callable[[int], np.ndarray],
    image: int,
    rng: np.random.Generator,
) -> list[Tensor]:
    """Some pixels of an image: each client's features there, [n, D_k], and the target, [n, C]."""
    arrays = [*features(image), targets(image)]
    flat = [array.reshape(-1, array.shape[-1]) for array in arrays]
    chosen = rng.integers(len(flat[0]), size=PIXELS)
    return [torch.from_numpy(each[chosen]) for each in flat]


def write_targets(task: FusionTask) -> None:
    """Write the normalised geometric mean of `mean`'s targets and of what the features say.

    The fused features stand after the classes, for the student to learn them too.
    """
    folder = task.folder
    before = folder.with_name("mean")
    mean.write_targets(replace(task, folder=before))
    described = [
        write_features(
            teacher.checkpoint,
            task.images,
            task.student,
            task.working,
            task.progress,
            f"features of {name}",
        )
        for name, teacher in task.teachers.items()
    ]

    def seen(index: int) -> list[np.ndarray]:
        return [read_array(files[index]) for files in described]

    count = len(task.images)
    targets = partial(read_target, before)
    gate = fit_gate(seen, targets, count, task.seed, best_device(), task.progress).cpu()

    def write(numbers: Sequence[int]) -> Iterator[int]:
        here = gate.to(best_device())
        for index in numbers:
            fused, probabilities = fuse_features(here, seen(index))
            target = np.sqrt(targets(index) * probabilities)
            target *= 255 / np.maximum(target.sum(axis=-1, keepdims=True), 1e-6)
            parts = np.rint(target).astype(np.uint8), to_bytes(fused)
            write_target(folder, index, np.concatenate(parts, axis=-1))
            yield index

    for done, _ in enumerate(sharded(write, range(count)), 1):
        task.progress("gating targets", done, count)
