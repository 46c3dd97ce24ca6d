"""What a simulation will take on this machine: time, memory and disk of each stage.

Times come from short trials: a few training steps of each kind of client, and a few images for
each model and protocol. Memory and disk are computed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace
from math import ceil

import torch
from torch import Tensor

from fedseg.config import Client, Federation, Model, Training
from fedseg.data.dataset import open_dataset
from fedseg.data.survey import survey, train_id_counts
from fedseg.evaluation.inference import PLAIN
from fedseg.machine import cpus
from fedseg.method.pace import TRIAL_SECONDS, image_seconds
from fedseg.models.build import best_device, outline
from fedseg.planning.disk import cached, made_images, weight_bytes, written
from fedseg.run.progress import Progress
from fedseg.training.best import interval
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
class Stage:
    """What a stage takes."""

    name: str
    seconds: float
    memory: int = 0
    """Bytes, of all processes of the stage at once."""
    disk: int = 0
    """Bytes that the stage writes."""
    is_temporary: bool = False
    """Whether what it writes is removed before the run ends."""


def estimate(federation: Federation, at_once: int, progress: Progress) -> list[Stage]:
    """What each stage of a simulation takes on this machine.

    A differentially private training is estimated as a plain one, and takes longer.

    Args:
        federation: a checked configuration, whose data is on this machine.
        at_once: clients that train at once.
        progress: receives the state of the work.

    Raises:
        FedsegError: the data or a model can't be used.
    """
    server, model = federation.server, federation.model
    student = server.distillation.training
    share = max(at_once / cpus(), 1.0)  # of time, where clients share a core
    threads = max(cpus() // at_once, 1)

    trainings = []
    steps: dict[tuple[str, Model, Training], float] = {}  # of trainings whose steps are alike
    for done, client in enumerate(federation.clients):
        progress("timing training", done, len(federation.clients))
        alike = client.training.model_copy(update={"iterations": 1})
        key = (client.dataset, client.model, alike)
        if key not in steps:
            steps[key] = _step_seconds(client, client.model, client.training, threads)
        seconds = steps[key] * client.training.iterations
        if held_out := client.held_out:
            looks = ceil(client.training.iterations / interval(client.training.iterations))
            image = image_seconds(client.model, client.training, held_out, PLAIN)
            seconds += looks * len(open_dataset(held_out)) * image
        trainings.append(seconds * share)
    weights = [weight_bytes(client.model) for client in federation.clients]
    memory = sorted((training_bytes(c.model, c.training) for c in federation.clients), reverse=True)

    count = len(open_dataset(server, labelled=False)) + made_images(federation)
    labelling = 0.0
    for done, client in enumerate(federation.clients):
        progress("timing labels", done, len(federation.clients))
        labelling += count * image_seconds(client.model, client.training, server, server.labelling)
    progress("timing distillation", 0, 1)
    of_student = _step_seconds(federation.clients[0], model, student, cpus())

    scoring = 0.0
    models = [(client.model, client.training) for client in federation.clients]
    for done, chosen in enumerate(federation.evaluation):
        progress("timing evaluation", done, len(federation.evaluation))
        each = [image_seconds(*one, chosen, chosen.protocol) for one in [*models, (model, student)]]
        scoring += len(open_dataset(chosen)) * sum(each)
    for evaluator in federation.evaluators:
        number = len(open_dataset(evaluator))
        scoring += number * image_seconds(model, student, evaluator, evaluator.protocol)
    of = written(federation)
    return [
        Stage("start of Flower and Ray", START_SECONDS, PROCESS),
        Stage("clients", makespan(trainings, at_once), sum(memory[:at_once]), of.uploads),
        Stage("labels", labelling, PROCESS + max(weights), of.labels, True),
        Stage("targets", 0.0, PROCESS, of.targets, True),
        Stage(
            "distillation",
            of_student * student.iterations,
            training_bytes(model, student),
            of.model,
        ),
        Stage("evaluation", scoring, PROCESS + max(weights)),
        Stage("resized images, in the cache", 0.0, 0, cached(federation)),
    ]


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
    network = outline(model.plain)
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


def _step_seconds(client: Client, model: Model, training: Training, threads: int) -> float:
    """Time of a training step, data loading included, once all images are in the cache."""
    dataset = open_dataset(client)
    dataset = dataset.every(max(len(dataset) // training.batch_size, 1))
    counts = train_id_counts(dataset, survey(dataset), model.classes)
    training = training.model_copy(update={"iterations": WARM_UP + STEPS})
    model = model.plain
    clock = _Clock()
    run = TrainingRun(settings=training, seed=0, device=best_device(), callbacks=(clock,))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        train_supervised([dataset], [counts], model, run, run.seed)
    except _Enough:
        pass
    finally:
        torch.set_num_threads(before)
    return clock.seconds()
