"""What fedseg makes of the GPUs of a machine: training, labelling, scoring, and memory.

    python benchmarks/gpu.py [--model paper|small]

`paper` is the model, crop and batch of examples/paper.toml, `small` the default model at 256x192.
All data is made in memory and nothing is downloaded. It takes a few minutes. Without a GPU it is a
rehearsal on the CPU, with tiny images, whose numbers mean nothing.
"""

import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from command import start
from rich.console import Console
from rich.table import Table
from torch import nn

from fedseg.config import Model, Training
from fedseg.data.loading import prefetch
from fedseg.evaluation.evaluate import class_map
from fedseg.evaluation.inference import devices_of, infer
from fedseg.models.build import best_device, build, free_memory
from fedseg.models.checkpoints import Info, describe_model
from fedseg.training.callbacks import Callback
from fedseg.training.loop import TrainingRun, fit, normalise
from fedseg.training.losses import count_labelled, cross_entropy
from fedseg.training.optimisation import autocast, choose_precision

WARM_UP = 20
"""Steps that are not measured, of each training."""


class Size(StrEnum):
    """What is trained."""

    PAPER = "paper"
    SMALL = "small"


def main(model: Size = Size.PAPER, iterations: int = 100) -> None:
    """Print a table."""
    device = best_device()
    chosen, training, image = settings(model, iterations, device)
    info = describe_model(chosen, training)
    table = Table("what", "takes", title=name_of(device))
    bare = bare_loop(chosen, training, info, device)
    alone, peak = measured(device, lambda: trained(chosen, training, info, device, 0))
    table.add_row("speed of training, beside a bare loop", f"{alone / bare:.2f} times")
    table.add_row("training on one GPU", f"{training.batch_size * alone:.1f} images/s, {peak}")
    for count in {1, torch.cuda.device_count()} - {0}:
        speed, left = measured(device, lambda c=count: trained(chosen, training, info, device, c))
        table.add_row(
            f"training in processes of its own: {count}",
            f"{speed / alone:.2f} times one GPU; here {left}",
        )
    network = build(chosen).eval().to(device)
    speeds = {}
    everything = devices_of(network)
    for count in sorted({1, len(everything)}):
        work = labelled_per_second(network, info, image, everything[:count])
        speeds[count], peak = measured(device, work)
        table.add_row(
            f"labels of {image[1]}x{image[0]} images, devices: {count}",
            f"{speeds[count]:.1f} images/s ({speeds[count] / speeds[1]:.2f} times), {peak}",
        )
    Console().print(table)


def settings(
    size: Size, iterations: int, device: torch.device
) -> tuple[Model, Training, tuple[int, int]]:
    """Model, training, and height and width of the images that are labelled."""
    steps: dict[str, Any] = {"iterations": WARM_UP + iterations}
    if device.type == "cpu":
        return Model(encoder_weights="none"), Training(crop=(64, 64), **steps), (128, 256)
    if size == Size.SMALL:
        return Model(encoder_weights="none"), Training(**steps), (384, 512)
    paper = Training(crop=(512, 1024), inference_height=1024, batch_size=8, **steps)
    deep = Model(arch="deeplabv3plus", encoder="resnet101", encoder_weights="none")
    return deep, paper, (1024, 2048)


def name_of(device: torch.device) -> str:
    """The machine, in words."""
    if device.type == "cpu":
        return "a rehearsal without a GPU"
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"


def measured(device: torch.device, work: Callable[[], float]) -> tuple[float, str]:
    """What some work returns, and the GPU memory that it took."""
    free_memory()
    if device.type == "cpu":
        return work(), "no GPU memory"
    torch.cuda.reset_peak_memory_stats()
    found = work()
    return found, f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"


class Clock(Callback):
    """When the warm-up ended, and all of it."""

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Note it."""
        if step == WARM_UP:
            self.began = time.perf_counter()
        self.ended = time.perf_counter()


class Example:
    """The same image and label again and again: only the device's time is measured."""

    def __init__(self, crop: tuple[int, int]) -> None:
        rng = np.random.default_rng(0)
        self._image = rng.integers(0, 256, (*crop, 3), dtype=np.uint8)
        self._label = rng.integers(0, 19, crop, dtype=np.uint8)

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self._image, self._label


def trained(
    model: Model, training: Training, info: Info, device: torch.device, processes: int
) -> float:
    """Steps a second of fedseg's training."""
    clock = Clock()
    run = TrainingRun(
        settings=training, seed=0, device=device, callbacks=(clock,), processes=processes
    )
    example = Example(training.crop)
    fit(build(model), example, cross_entropy, info.normalisation, run, count_labelled)
    return (training.iterations - WARM_UP) / (clock.ended - clock.began)


def bare_loop(model: Model, training: Training, info: Info, device: torch.device) -> float:
    """Steps a second of the textbook's loop, with batches from the same memory."""
    network = build(model).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), fused=device.type == "cuda" or None)
    is_half = choose_precision(device, training.precision) == torch.float16
    scaler = torch.amp.GradScaler(device.type, enabled=is_half)
    pair = Example(training.crop)(np.random.default_rng())

    def batch(_: int) -> list[torch.Tensor]:
        stacked = [torch.from_numpy(np.stack([part] * training.batch_size)) for part in pair]
        return [part.pin_memory() for part in stacked] if device.type == "cuda" else stacked

    began = 0.0
    for step, (images, labels) in enumerate(prefetch(batch, range(training.iterations)), start=1):
        with autocast(device, training.precision):
            shown = normalise(images.to(device, non_blocking=True), info.normalisation)
            logits = network(shown)
        loss = cross_entropy(logits.float(), labels.to(device, non_blocking=True))
        optimiser.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        if step == WARM_UP:
            loss.item()
            began = time.perf_counter()
    loss.item()
    return (training.iterations - WARM_UP) / (time.perf_counter() - began)


def labelled_per_second(
    network: nn.Module, info: Info, image: tuple[int, int], devices: list[torch.device]
) -> Callable[[], float]:
    """Labelling images of noise, from arrays to the classes of their pixels."""
    picture = np.random.default_rng(0).integers(0, 256, (*image, 3), dtype=np.uint8)

    def labels(count: int) -> Iterator[np.ndarray]:
        seen = infer(network, info, lambda _: picture, range(count), devices=devices)
        for _, _, logits in seen:
            yield class_map(logits, image).cpu().numpy()

    def work() -> float:
        count = 16 * len(devices)
        list(labels(count))
        began = time.perf_counter()
        list(labels(4 * count))
        return 4 * count / (time.perf_counter() - began)

    return work


if __name__ == "__main__":
    start(main)
