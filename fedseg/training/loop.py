"""The training loop: the same for clients, for the distilled model and for centralized training.

What differs between them is a function that makes one training example and a loss.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from fedseg.config import Training
from fedseg.data.loading import prefetch
from fedseg.files import atomic_file
from fedseg.machine import limit_threads
from fedseg.models.build import Normalisation
from fedseg.storage.hashes import content_hash
from fedseg.storage.provenance import notices
from fedseg.training.callbacks import Callback

Example = tuple[np.ndarray, np.ndarray]

CHECKSUM = "checksum"
"""Key of a saved state's metadata: a hash of its tensors."""

SAVE_SECONDS = 30.0
"""How often the state of a training is saved: what a kill costs at most."""


Settings = TypeVar("Settings", bound=Training)


@dataclass(frozen=True, kw_only=True)
class TrainingRun(Generic[Settings]):
    """How a model is trained, whatever it is and whatever it learns from.

    Attributes:
        settings: iterations, batch size, learning rate, ...
        seed: of every random choice.
        device: where it is trained.
        state: file that the training is saved to now and then, and resumed from.
        callbacks: called after each step and at the end, in this order.
        save_seconds: time between two saves.
    """

    settings: Settings
    seed: int
    device: torch.device
    state: Path | None = None
    callbacks: tuple[Callback, ...] = ()
    save_seconds: float = SAVE_SECONDS


def fit(
    network: nn.Module,
    example: Callable[[np.random.Generator], Example],
    loss: Callable[[Tensor, Tensor], Tensor],
    normalisation: Normalisation,
    run: TrainingRun[Any],
) -> nn.Module:
    """Train a model with AdamW.

    Every example and every step depends on (seed, place in the sequence) only, so on a CPU two runs
    are equal to the bit, whether or not one of them was interrupted and resumed.

    Args:
        network: the model; trained in place.
        example: makes a training example from random numbers: image uint8 [H, W, 3] RGB, and a
            target array. Called in threads.
        loss: from logits float32 [N, 19, H, W] and targets [N, ...] to a scalar.
        normalisation: of the input.
        run: how.

    Returns:
        `network`, in evaluation mode, on the CPU.

    Raises:
        FloatingPointError: the loss became NaN or infinite.
    """
    limit_threads()
    settings, device, state = run.settings, run.device, run.state
    network = network.to(device).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    losses = _resume(state, network, optimiser) if state else []
    done = len(losses)
    saved = time.monotonic()
    scheduler = LambdaLR(optimiser, lambda step: learning_rate_factor(done + step, settings))
    batches = _batches(example, settings, run.seed, done)
    for step, (images, targets) in enumerate(batches, start=done):
        # Seeded anew at every step, dropout needs no random state to be saved.
        torch.manual_seed(_mix(run.seed, step))
        with autocast(device, settings.precision):
            logits = network(normalise(images.to(device, non_blocking=True), normalisation))
        value = loss(logits.float(), targets.to(device, non_blocking=True))
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        scheduler.step()
        note_loss(value.item(), losses, run)
        if state and time.monotonic() - saved > run.save_seconds:
            _save(state, network, optimiser, losses)
            saved = time.monotonic()
    for callback in run.callbacks:
        callback.on_end(losses)
    return network.eval().cpu()


def note_loss(loss: float, losses: list[float], run: TrainingRun[Any]) -> None:
    """Append a step's loss to those of the steps before, and call the callbacks.

    Raises:
        FloatingPointError: it is NaN or infinite.
    """
    step = len(losses) + 1
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss became {loss} at step {step}; lower the learning rate")
    losses.append(loss)
    for callback in run.callbacks:
        callback.on_step(step, run.settings.iterations, loss)


def learning_rate_factor(step: int, settings: Training) -> float:
    """Share of the learning rate at a step, 0..1: a linear warm-up, then half a cosine down to 0.

    Args:
        step: counted from 0.
        settings: of the training.
    """
    warmup = math.ceil(settings.warmup * settings.iterations)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    part = (step - warmup) / max(settings.iterations - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * part))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision as configured: by default bfloat16 on CUDA, where it is always faster."""
    enabled = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def normalise(images: Tensor, normalisation: Normalisation) -> Tensor:
    """uint8 [N, H, W, 3] to normalised float32 [N, 3, H, W] in channels-last memory."""
    mean, std = (torch.tensor(v, device=images.device) * 255 for v in normalisation)
    return ((images - mean) / std).permute(0, 3, 1, 2)


def _batches(
    example: Callable[[np.random.Generator], Example], settings: Training, seed: int, done: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches from step `done` on, made ahead by threads."""

    def batch(step: int) -> tuple[Tensor, Tensor]:
        rngs = (np.random.default_rng([seed, step, slot]) for slot in range(settings.batch_size))
        images, targets = zip(*map(example, rngs), strict=True)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets))

    steps = range(done, settings.iterations)
    return prefetch(batch, steps, settings.threads, 2 * settings.threads)


def _mix(seed: int, step: int) -> int:
    """One seed out of two numbers."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _save(
    path: Path, network: nn.Module, optimiser: torch.optim.AdamW, losses: list[float]
) -> None:
    """Save model, optimiser and the loss of each step as one safetensors file: no pickle."""
    tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
    for index, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{slot}": value for slot, value in slots.items()}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    with atomic_file(path) as temporary:
        contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
        save_file(contiguous, temporary, {CHECKSUM: content_hash(contiguous)})


def _resume(path: Path, network: nn.Module, optimiser: torch.optim.AdamW) -> list[float]:
    """Load what `_save` wrote, if it is there. Returns the losses of the steps already done."""
    if not path.is_file():
        return []
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checksum = (file.metadata() or {}).get(CHECKSUM)
    except (SafetensorError, OSError) as error:
        notices.warning("%s: damaged (%s); training from the start", path, error)
        return []
    if checksum != content_hash(tensors):
        notices.warning("%s: its content is not what was written; training from the start", path)
        return []
    network.load_state_dict(
        {name.removeprefix("model."): v for name, v in tensors.items() if name.startswith("model.")}
    )
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": slots, "param_groups": groups})
    return tensors["losses"].tolist()
