"""The stages of a simulation: one list behind checks, estimate and progress. Needs no torch."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from fedseg.config import GLOBAL, Augmentation, Federation, Model, Protocol, Source, Training
from fedseg.data.dataset import open_dataset
from fedseg.data.images import Size, stored_size
from fedseg.method.sample import COPIES, sample_images

SERVER = "server"
Part = Literal["clients", "labels", "distillation", "evaluation"]
"""The parts of a run, in order."""


class Stage(NamedTuple):
    """A model that is trained, or that sees all images of a dataset."""

    part: Part
    """The part of the run that it belongs to."""
    worker: str
    """Whose progress it is: a client, an evaluator or the server."""
    name: str
    """Name under which its progress is reported."""
    owner: str
    """Whose model it is, for errors."""
    model: Model
    """The model."""
    training: Training
    """How the model is trained, which decides the size at which it sees images."""
    source: Source
    """The images."""
    protocol: Protocol | None = None
    """How the images are shown to the model; None: it is trained on them."""
    is_sample: bool = False
    """Whether the model sees changed copies of a sample of the images."""

    def passes(self, images: int) -> int:
        """Forward passes of a model over a dataset of so many images."""
        return COPIES * len(sample_images(images)) if self.is_sample else images


def stages(federation: Federation) -> Iterator[Stage]:
    """All stages that take long, in the order in which they begin.

    Args:
        federation: a checked configuration.
    """
    server, clients = federation.server, federation.clients
    models: dict[str, tuple[str, Model, Training]] = {
        c.name: (f"client '{c.name}'", c.model, c.training) for c in clients
    }
    models[GLOBAL] = "the global model", federation.model, server.distillation.training
    for c in clients:
        yield Stage("clients", c.name, "training", *models[c.name], c)
    for c in clients:
        name = f"labels by {c.name}"
        yield Stage("labels", SERVER, name, *models[c.name], server, server.labelling)
    for c in clients if server.distillation.votes == "consistency" else ():
        name = f"consistency of {c.name}"
        yield Stage("labels", SERVER, name, *models[c.name], server, server.labelling, True)
    yield Stage("distillation", SERVER, "distillation", *models[GLOBAL], server)
    for model, facts in models.items():
        for one in federation.evaluation:
            yield Stage("evaluation", SERVER, f"{model} on {one.name}", *facts, one, one.protocol)
    for one in federation.evaluators:
        yield Stage("evaluation", one.name, "evaluating", *models[GLOBAL], one, one.protocol)


def trainings(federation: Federation) -> list[Stage]:
    """The trainings whose model or sizes differ; of those that are alike, the first.

    The server's own comes first: its model is everybody's default.
    """
    found: dict[object, Stage] = {}
    for stage in sorted(stages(federation), key=lambda stage: stage.worker != SERVER):
        if stage.protocol is None:
            training = stage.training
            sizes = training.crop, training.batch_size, training.inference_height
            found.setdefault((stage.model, sizes), stage)
    return list(found.values())


def made_images(augmentation: Augmentation) -> int:
    """How many images the server makes beside its own."""
    return 0 if augmentation.generator == "none" else augmentation.images


def count_images(source: Source) -> tuple[int, Size]:
    """Number of images of a dataset, and height and width of the first."""
    images = open_dataset(source, labelled=False).images
    return len(images), stored_size(images[0])
