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

from fedseg.config import Training
from fedseg.data.loading import prefetch
from fedseg.files import atomic_file
from fedseg.machine import limit_threads
from fedseg.models.build import Normalisation
from fedseg.storage.hashes import content_hash
from fedseg.storage.provenance import notices
from fedseg.training.callbacks import Callback
from fedseg.training.optimisation import Stepper, autocast

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
    stepper = Stepper(network, settings, device)
    losses = _resume(state, network, stepper) if state else []
    done = len(losses)
    for callback in run.callbacks:
        callback.on_start(losses)
    saves = Pace(run.save_seconds)
    batches = _batches(example, settings, run.seed, done, device)
    for step, (images, targets) in enumerate(batches, start=done):
        # Seeded anew at every step, dropout needs no random state to be saved.
        torch.manual_seed(_mix(run.seed, step))
        total = 0.0
        parts = settings.accumulation
        for shown, wanted in zip(images.chunk(parts), targets.chunk(parts), strict=True):
            with autocast(device, settings.precision):
                logits = network(normalise(shown.to(device, non_blocking=True), normalisation))
            value = loss(logits.float(), wanted.to(device, non_blocking=True))
            stepper.backward(value)
            total += value.item() / parts
        stepper.step(step)
        note_loss(total, losses, run)
        if state and saves.is_due():
            with saves:
                _save(state, network, stepper, losses)
    for callback in run.callbacks:
        callback.on_end(losses)
    if stepper.average is not None:
        network.load_state_dict(stepper.average.state_dict())
    return network.eval().cpu()


class Pace:
    """When to save again: not before some time, 0 for none, or before 20 times the last save's.

    So saving takes a twentieth of the time at most, however large the model and slow the disk.
    """

    SHARE = 20

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ended, self._took = time.monotonic(), 0.0

    def is_due(self) -> bool:
        """Whether it is time."""
        wait = max(self._seconds, self.SHARE * self._took) if self._seconds else 0.0
        return time.monotonic() - self._ended > wait

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *error: object) -> None:
        self._ended = time.monotonic()
        self._took = self._ended - self._began


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


def normalise(images: Tensor, normalisation: Normalisation) -> Tensor:
    """uint8 [N, H, W, 3] to normalised float32 [N, 3, H, W] in channels-last memory."""
    mean, std = (torch.tensor(v, device=images.device) * 255 for v in normalisation)
    return ((images - mean) / std).permute(0, 3, 1, 2)


def _batches(
    example: Callable[[np.random.Generator], Example],
    settings: Training,
    seed: int,
    done: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches from step `done` on, made ahead by threads, in memory that `device` can copy."""

    def batch(step: int) -> tuple[Tensor, Tensor]:
        rngs = (np.random.default_rng([seed, step, slot]) for slot in range(settings.batch_size))
        images, targets = (
            torch.from_numpy(np.stack(part)) for part in zip(*map(example, rngs), strict=True)
        )
        if device.type == "cuda":  # else `non_blocking` copies block
            return images.pin_memory(), targets.pin_memory()
        return images, targets

    steps = range(done, settings.iterations)
    return prefetch(batch, steps, settings.threads, 2 * settings.threads)


def _mix(seed: int, step: int) -> int:
    """One seed out of two numbers."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _save(path: Path, network: nn.Module, stepper: Stepper, losses: list[float]) -> None:
    """Save model, optimiser and the loss of each step as one safetensors file: no pickle."""
    tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
    if stepper.average is not None:
        average = stepper.average.state_dict()
        tensors |= {f"average.{name}": value for name, value in average.items()}
    tensors |= {f"scaler.{name}": value for name, value in stepper.scaler_state().items()}
    for index, slots in stepper.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{slot}": value for slot, value in slots.items()}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    with atomic_file(path) as temporary:
        contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
        save_file(contiguous, temporary, {CHECKSUM: content_hash(contiguous)})


def _resume(path: Path, network: nn.Module, stepper: Stepper) -> list[float]:
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

    def part(prefix: str) -> dict[str, Tensor]:
        chosen = {name: v for name, v in tensors.items() if name.startswith(prefix)}
        return {name.removeprefix(prefix): value for name, value in chosen.items()}

    network.load_state_dict(part("model."))
    if stepper.average is not None:
        stepper.average.load_state_dict(part("average."))
    stepper.load_scaler_state(part("scaler."))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    groups = stepper.optimiser.state_dict()["param_groups"]
    stepper.optimiser.load_state_dict({"state": slots, "param_groups": groups})
    return tensors["losses"].tolist()
