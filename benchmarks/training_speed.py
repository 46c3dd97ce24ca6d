"""A client's training against a bare PyTorch loop over tensors already in memory.

Same model, same batch size, same optimiser; the bare loop reads nothing and augments nothing. The
two take turns, so that a machine whose speed drifts favours neither.

    python benchmarks/training_speed.py [CONFIG]
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from command import start
from rich.console import Console

from fedseg import config
from fedseg.config import Client
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.data.survey import survey_labels, train_id_counts
from fedseg.files import EMBEDDED
from fedseg.models import build
from fedseg.models.checkpoints import describe_model
from fedseg.training.callbacks import ReportProgress
from fedseg.training.loop import TrainingRun, normalise
from fedseg.training.losses import cross_entropy
from fedseg.training.optimisation import autocast
from fedseg.training.supervised import train_supervised


def main(
    federation: Annotated[Path, typer.Argument()] = EMBEDDED,
    iterations: int = 60,
    rounds: int = 5,
) -> None:
    """Print images/s of both, and the ratio round by round."""
    client = config.load(federation).clients[0]
    training = client.training.model_copy(update={"iterations": iterations})
    client = client.model_copy(update={"training": training})
    dataset = open_dataset(client)
    counts = train_id_counts(dataset, survey_labels(dataset))
    ratios = []
    for number in range(rounds):
        train = partial(supervised, client, dataset, counts, number)
        ours = clock(train, training.batch_size)
        bare = clock(partial(bare_loop, client), training.batch_size)
        ratios.append(bare / ours)
        Console().print(f"fedseg {ours:.1f} images/s, bare loop {bare:.1f} images/s")
    Console().print(
        f"a step of fedseg takes {statistics.median(ratios):.3f} times a bare step "
        f"(median of {rounds}; {min(ratios):.3f} to {max(ratios):.3f})"
    )


def supervised(
    client: Client, dataset: Dataset, counts: np.ndarray, seed: int, tick: Callable[[], None]
) -> None:
    """fedseg's training; calls `tick` after each step."""
    notify = ReportProgress(lambda *_, **__: tick())
    run = TrainingRun(
        settings=client.training, seed=seed, device=build.best_device(), callbacks=(notify,)
    )
    train_supervised([dataset], [counts], client.model, run, run.seed)


def clock(train, batch_size: int, warm_up: int = 5) -> float:
    """Images a second of `train(tick)`, which calls `tick` after each step."""
    ticks = []
    train(lambda: ticks.append(time.perf_counter()))
    return batch_size * (len(ticks) - 1 - warm_up) / (ticks[-1] - ticks[warm_up])


def bare_loop(client: Client, tick) -> None:
    """The textbook loop."""
    training = client.training
    device = build.best_device()
    network = build.build(client.model).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), training.learning_rate)
    shape = (training.batch_size, *training.crop)
    pixels = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, device=device)
    images = normalise(pixels, describe_model(client.model, training).normalisation)
    labels = torch.randint(0, 19, shape, dtype=torch.uint8, device=device)
    for _ in range(training.iterations):
        with autocast(device, training.precision):
            logits = network(images)
        loss = cross_entropy(logits.float(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
        tick()


if __name__ == "__main__":
    start(main)
