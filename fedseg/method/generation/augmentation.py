"""Augmentation of the server's images: candidates are generated, labelled, and judged."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

from fedseg.classes import ClassList
from fedseg.config import Augmentation
from fedseg.data.dataset import Dataset
from fedseg.method.context import Context
from fedseg.method.generation.candidates import (
    Generator,
    dataset_with,
    judge_candidates,
    make_candidates,
)
from fedseg.method.labelling import label_images
from fedseg.method.teachers import Teachers
from fedseg.models.build import free_memory
from fedseg.plugins import blame_plugin
from fedseg.registry import GENERATORS
from fedseg.run.records import ByClass
from fedseg.storage.provenance import Inputs


def augment(
    context: Context, teachers: Teachers, inconsistency: ByClass, inputs: Inputs
) -> Dataset:
    """Make more images of unstable classes, and keep those that show the class.

    Args:
        context: of the run.
        teachers: that have predicted the server's images; they predict the new ones too.
        inconsistency: of each class.
        inputs: what the images are made from.

    Returns:
        The server's images with the generated ones after them. The teachers' predictions are those
        of these images.
    """
    images = context.images
    candidates = generate_images(context, teachers, inconsistency, inputs)
    free_memory()  # the generator's models are gone when the clients' are loaded
    together = dataset_with(images, candidates)
    label_images(context, teachers, together, context.student)
    manifest = context.run.generated / "manifest.json"
    kept = judge_candidates(candidates, len(images), list(teachers.values()), manifest)
    return keep_images(teachers, together, [*range(len(images)), *kept])


def generate_images(
    context: Context, teachers: Teachers, inconsistency: ByClass, inputs: Inputs
) -> list[Path]:
    """Write generated/: images of classes drawn in proportion to their inconsistency."""
    federation = context.federation
    augmentation, classes = federation.server.augmentation, federation.classes
    make_generator = GENERATORS.load(augmentation.generator)
    with blame_plugin("generator", augmentation.generator):
        generator = make_generator(augmentation, context.images, list(teachers.values()))
        return make_candidates(
            generator,
            augmentation.images,
            weights_of(generator, inconsistency, augmentation.unstable_classes, classes),
            classes,
            federation.seed,
            context.run.generated,
            inputs,
            context.progress,
        )


def keep_images(teachers: Teachers, images: Dataset, chosen: list[int]) -> Dataset:
    """Keep some images, and the teachers' predictions of these, in place."""
    for teacher in teachers.values():
        teacher.files = [teacher.files[index] for index in chosen]
    return replace(images, images=tuple(images.images[index] for index in chosen))


def weights_of(
    generator: Generator, inconsistency: ByClass, most: int, classes: ClassList
) -> dict[int, float]:
    """The inconsistency, by trainId, of the most unstable classes that a generator can make."""
    ranked = sorted(((score, name) for name, score in inconsistency.items() if score), reverse=True)
    ids = ((classes.names.index(name), score) for score, name in ranked)
    return dict(islice(((c, score) for c, score in ids if generator.makes(c)), most))


def generator_inputs(augmentation: Augmentation) -> dict[str, Any]:
    """What generated images are made from: the settings, and the content of files they name.

    A generator may say what these are; see `candidates.ConfiguredGenerator`.
    """
    settings = augmentation.model_dump(mode="json")
    if augmentation.generator == "none":
        return settings
    generator = GENERATORS.load(augmentation.generator)
    inputs = cast(Callable[[Augmentation], Inputs] | None, getattr(generator, "inputs", None))
    return settings | dict(inputs(augmentation)) if inputs else settings


def check_generator(augmentation: Augmentation, classes: ClassList) -> None:
    """See that the generator can make images, as far as it can tell.

    Raises:
        FedsegError: a wrong option, a missing extra or file.
    """
    if augmentation.generator == "none":
        return
    generator = GENERATORS.load(augmentation.generator)
    if check := getattr(generator, "check", None):
        with blame_plugin("generator", augmentation.generator):
            check(augmentation, classes)
