"""The training loop: the same for clients, for the distilled model and for centralized training.

What differs between them is a function that makes one training example and a loss; in private
training, also what a step draws, and how it changes the weights.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from fedseg.config import Training
from fedseg.data.loading import prefetch
from fedseg.machine import limit_threads
from fedseg.models.info import Normalisation
from fedseg.training.callbacks import Callback
from fedseg.training.optimisation import Stepper, autocast
from fedseg.training.parallel import Rank, run_in_processes
from fedseg.training.state import Pace, load_state, save_state

Example = tuple[np.ndarray, np.ndarray]
MakeExample = Callable[[Any], Example]
Loss = Callable[[Tensor, Tensor], Tensor]
Draw = Callable[[int, int, int], Sequence[Any]]
"""From seed, step and batch size to what each example of the step is made from."""
MakeStepper = Callable[[nn.Module, Training, torch.device], Stepper]

READ_EVERY = 20
"""Steps whose losses are read together from a GPU, which would wait for each otherwise."""
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
        processes: that share the work, beside this one; 0: it is done in this one. Default: one for
            each visible GPU, as long as each has an image.
    """

    settings: Settings
    seed: int
    device: torch.device
    state: Path | None = None
    callbacks: tuple[Callback, ...] = ()
    save_seconds: float = SAVE_SECONDS
    processes: int | None = None

    def workers(self) -> int:
        """How many processes beside this one do the work."""
        if self.processes is not None:
            return self.processes
        if self.device.type != "cuda":
            return 0
        return min(torch.cuda.device_count(), self.settings.batch_size)


def seeded_draw(seed: int, step: int, batch_size: int) -> list[np.random.Generator]:
    """Draw the examples of a step by random numbers that follow from a seed."""
    return [np.random.default_rng([seed, step, slot]) for slot in range(batch_size)]


def fit(
    network: nn.Module,
    example: MakeExample,
    loss: Loss,
    normalisation: Normalisation,
    run: TrainingRun[Any],
    count: Callable[[Tensor], int | Tensor] = len,
    draw: Draw = seeded_draw,
    make_stepper: MakeStepper = Stepper,
) -> nn.Module:
    """Train a model with AdamW: on a CPU in this process, on GPUs in one for each.

    Every example and every step depends on (seed, place in the sequence) only, so on a CPU two runs
    are equal to the bit, whether or not one of them was interrupted and resumed; and a run is the
    same up to rounding whatever the number of processes.

    Args:
        network: the model; trained in place.
        example: makes a training example from what `draw` gives, by default random numbers: image
            uint8 [H, W, 3] RGB, and a target array. Called in threads. To be used by other
            processes it must be picklable.
        loss: from logits float32 [N, C, H, W] and targets [N, ...] to a scalar, a mean.
        normalisation: of the input.
        run: how.
        count: how many things, in targets [N, ...], the loss is a mean of: images, by default.
        draw: what the examples of a step are made from. Called in threads.
        make_stepper: makes what changes the weights.

    Returns:
        `network`, in evaluation mode, on the CPU.

    Raises:
        FloatingPointError: the loss became NaN or infinite.
    """
    processes = run.workers()
    quiet = replace(run, callbacks=())
    work = network, example, loss, normalisation, quiet, count, draw, make_stepper
    if processes:
        trained = run_in_processes(_train, work, run.callbacks, processes, run.device)
        network.load_state_dict(trained)
    else:
        _train(Rank(), run.device, run.callbacks, *work)
    return network.eval().cpu()


def _train(
    rank: Rank,
    device: torch.device,
    callbacks: Sequence[Callback],
    network: nn.Module,
    example: MakeExample,
    loss: Loss,
    normalisation: Normalisation,
    run: TrainingRun[Any],
    count: Callable[[Tensor], int | Tensor],
    draw: Draw,
    make_stepper: MakeStepper,
) -> dict[str, Tensor]:
    """Do one process's part of a training. Returns the trained weights."""
    limit_threads(rank.world)
    torch.backends.cudnn.benchmark = True  # all crops have one size
    settings, state = run.settings, run.state
    network = rank.sync_norms(network, device)
    network = network.to(device).to(memory_format=torch.channels_last)
    train_mode(network)
    stepper = make_stepper(network, settings, device)
    losses = load_state(state, network, stepper) if state else []
    forward = rank.sync_gradients(stepper.network)
    for callback in callbacks:
        callback.on_start(losses)
    saves = Pace(run.save_seconds)
    batches = _batches(example, partial(draw, run.seed), settings, len(losses), device, rank)
    unread: list[Tensor] = []
    at_once = losses_at_once(device)
    for step, (images, targets) in enumerate(batches, start=len(losses)):
        # Seeded anew at every step, dropout needs no random state to be saved.
        torch.manual_seed(_mix(run.seed, step) + rank.number)
        targets = targets.to(device, non_blocking=True)
        with autocast(device, settings.precision):
            logits = forward(normalise(images.to(device, non_blocking=True), normalisation))
        value = loss(logits.float(), targets) * rank.weight(count(targets), device)
        stepper.step(value, step)
        unread.append(rank.sum(value.detach() / rank.world))
        is_due = state is not None and rank.number == 0 and saves.is_due()
        if is_due or len(unread) == at_once or step + 1 == settings.iterations:
            for one in torch.stack(unread).tolist():
                _note_loss(one, losses, settings, callbacks)
            unread.clear()
        if state and is_due:
            with saves:
                save_state(state, network, stepper, losses)
    for callback in callbacks:
        callback.on_end(losses)
    return network.state_dict()


def losses_at_once(device: torch.device) -> int:
    """How many steps' losses are read together."""
    return READ_EVERY if device.type == "cuda" else 1


def train_mode(network: nn.Module) -> None:
    """Put a model into training mode, but what is frozen of it, which keeps its statistics."""
    for module in network.train().modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def _note_loss(
    loss: float, losses: list[float], settings: Training, callbacks: Sequence[Callback]
) -> None:
    """Append a step's loss to those of the steps before, and call the callbacks.

    Raises:
        FloatingPointError: it is NaN or infinite.
    """
    step = len(losses) + 1
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss became {loss} at step {step}; lower the learning rate")
    losses.append(loss)
    for callback in callbacks:
        callback.on_step(step, settings.iterations, loss)


def normalise(images: Tensor, normalisation: Normalisation) -> Tensor:
    """uint8 [N, H, W, 3] to normalised float32 [N, 3, H, W] in channels-last memory."""
    mean, std = (torch.tensor(v, device=images.device) * 255 for v in normalisation)
    return ((images - mean) / std).permute(0, 3, 1, 2)


def _batches(
    example: MakeExample,
    draw: Callable[[int, int], Sequence[Any]],
    settings: Training,
    done: int,
    device: torch.device,
    rank: Rank,
) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's part of the batches from step `done` on, in memory that `device` can copy.

    They are made ahead by threads. Whatever the number of processes, a batch is the same.
    """

    def batch(step: int) -> tuple[Tensor, Tensor]:
        drawn = rank.shard(draw(step, settings.batch_size))
        images, targets = (
            torch.from_numpy(np.stack(part)) for part in zip(*map(example, drawn), strict=True)
        )
        if device.type == "cuda":  # else `non_blocking` copies block
            return images.pin_memory(), targets.pin_memory()
        return images, targets

    steps = range(done, settings.iterations)
    threads = max(settings.threads // rank.world, 1)
    return prefetch(batch, steps, threads, 2 * threads)


def _mix(seed: int, step: int) -> int:
    """One seed out of two numbers."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
