"""What a simulation will take on this machine: time, memory and disk of each part.

Times come from short trials: a few training steps of each kind of client, and a few images for
each model and protocol. Memory and disk are computed.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapreplace, nlargest

import torch
from torch import Tensor

from fedseg.config import Client, Federation, Model, Source, SupervisedTraining, Training
from fedseg.data.dataset import open_dataset
from fedseg.data.images import Size
from fedseg.data.survey import survey_labels, train_id_counts
from fedseg.machine import cpus
from fedseg.method.pace import TRIAL_SECONDS, image_seconds
from fedseg.models.build import best_device, outline_model
from fedseg.planning.disk import cached_bytes, weight_bytes, written_bytes
from fedseg.planning.stages import SERVER, Part, Stage, count_images, made_images, stages
from fedseg.run.progress import Progress
from fedseg.training.callbacks import Callback
from fedseg.training.loop import TrainingRun
from fedseg.training.supervised import train_supervised

WARM_UP, STEPS = 2, 4
"""Steps of a trial that are not timed, and that are."""
PROCESS = 1200 * 2**20
"""Bytes of memory of a process that trains, without the model: most of it is torch."""
START_SECONDS = 20.0
"""Until Flower and Ray have started; measured on two cores."""


@dataclass(frozen=True)
class Cost:
    """What a part of a run takes."""

    name: str
    seconds: float
    memory: int = 0
    """Bytes, of all processes at once."""
    disk: int = 0
    """Bytes that it writes."""
    is_temporary: bool = False
    """Whether what it writes is removed before the run ends."""


def estimate_costs(federation: Federation, at_once: int, progress: Progress) -> list[Cost]:
    """What each part of a simulation takes on this machine.

    A differentially private training is estimated as a plain one, and takes longer.

    Args:
        federation: a checked configuration, whose data is on this machine.
        at_once: clients that train at once.
        progress: receives the state of the work.

    Raises:
        FedsegError: the data or a model can't be used.
    """
    every, count = list(stages(federation)), lru_cache(count_images)
    made = made_images(federation.server.augmentation)
    seconds: dict[Part, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for done, stage in enumerate(every):
        progress(f"timing {stage.part}", done, len(every))
        seconds[stage.part][stage.worker] += stage_seconds(
            federation.clients, stage, at_once, count, made
        )
    share = max(at_once / cpus(), 1.0)  # of time, where clients share a core
    clients = [own * share for own in seconds["clients"].values()]
    memory = [training_bytes(client.model, client.training) for client in federation.clients]
    largest = PROCESS + max(weight_bytes(client.model) for client in federation.clients)
    student = training_bytes(federation.model, federation.server.distillation.training)
    writes = written_bytes(federation)
    cached = cached_bytes(federation.clients, federation.server, federation.model)

    def total(part: Part) -> float:
        return sum(seconds[part].values())

    return [
        Cost("start of Flower and Ray", START_SECONDS, PROCESS),
        Cost("clients", makespan(clients, at_once), sum(nlargest(at_once, memory)), writes.uploads),
        Cost("labels", total("labels"), largest, writes.labels, True),
        Cost("targets", 0.0, PROCESS, writes.targets, True),
        Cost("distillation", total("distillation"), student, writes.model),
        Cost("evaluation", total("evaluation"), largest),
        Cost("resized images, in the cache", 0.0, 0, cached),
    ]


def stage_seconds(
    clients: Sequence[Client],
    stage: Stage,
    at_once: int,
    count: Callable[[Source], tuple[int, Size]],
    made: int,
) -> float:
    """Time of a stage, by a trial of a few steps or images; trials that are alike are made once.

    Args:
        clients: of the federation.
        stage: which.
        at_once: clients that train at once.
        count: gives the number of images of a dataset.
        made: images that the server makes beside its own.
    """
    model, training, source = stage.model, stage.training, stage.source
    if stage.protocol is None:
        # Images of one kind take as long; of the server's nobody has labels.
        alike = (client for client in clients if client.dataset == source.dataset)
        shown = next(alike, clients[0])
        threads = cpus() if stage.worker == SERVER else max(cpus() // at_once, 1)
        step = Training(  # whatever its loss and its length
            **training.model_dump(include=set(Training.model_fields), exclude={"iterations"})
        )
        return training.iterations * step_seconds(shown.plain, model, step, threads)
    images, _ = count(source.plain)
    if stage.part == "labels" and not stage.is_sample:
        images += made
    return stage.passes(images) * image_seconds(model, training, source, stage.protocol)


def makespan(seconds: Sequence[float], at_once: int) -> float:
    """Time until all jobs are done, of which some run at once, each started in turn."""
    ends = [0.0] * at_once
    for job in seconds:
        heapreplace(ends, ends[0] + job)
    return max(ends)


def training_bytes(model: Model, training: Training) -> int:
    """Memory that a training needs: the process, the weights four times, and the activations.

    Weights, gradients and the two moments of AdamW have the same size; activations are those that
    a forward pass of one batch keeps for the backward pass.
    """
    network = outline_model(model.plain)
    device = next(network.parameters()).device
    known = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)  # or the next tensor may get the same address
        return tensor

    alive: list[Tensor] = []
    batch = torch.zeros(training.batch_size, 3, *training.crop, device=device)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.train()(batch.to(memory_format=torch.channels_last))
    return PROCESS + 4 * weight_bytes(model) + sum(kept.values())


class _Enough(Exception):
    pass


class _Clock(Callback):
    """Notes when each step ends, and ends a training that takes too long."""

    def __init__(self) -> None:
        self.ends = [time.monotonic()]

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Note it."""
        self.ends.append(time.monotonic())
        if step > WARM_UP and self.ends[-1] - self.ends[0] > TRIAL_SECONDS:
            raise _Enough

    def seconds(self) -> float:
        """Mean time of the steps after the warm-up."""
        timed = self.ends[WARM_UP:]
        return (timed[-1] - timed[0]) / max(len(timed) - 1, 1)


@lru_cache(maxsize=256)
def step_seconds(source: Source, model: Model, training: Training, threads: int) -> float:
    """Time of a training step, data loading included, once all images are in the cache."""
    dataset = open_dataset(source)
    dataset = dataset.every(max(len(dataset) // training.batch_size, 1))
    counts = train_id_counts(dataset, survey_labels(dataset), model.classes)
    settings = SupervisedTraining(**training.model_dump() | {"iterations": WARM_UP + STEPS})
    clock = _Clock()
    run = TrainingRun(settings=settings, seed=0, device=best_device(), callbacks=(clock,))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        train_supervised([dataset], [counts], model.plain, run, run.seed)
    except _Enough:
        pass
    finally:
        torch.set_num_threads(before)
    return clock.seconds()
