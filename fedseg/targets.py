"""What the server makes of the clients' models before it distils them: the soft targets.

server images -> every client's predictions -> inconsistency, suspects -> generated images of
unstable classes -> predictions on these too -> fused and balanced targets
"""

from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from fedseg import checkpoints, figures, generation, predictions
from fedseg.classes import CLASSES
from fedseg.config import Augmentation, Federation, Protocol
from fedseg.cross_validation import reliability
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.files import write_json
from fedseg.generation.diffusion import Diffusion
from fedseg.generation.mix import Mix
from fedseg.inconsistency import Agreement, record, suspects, typical_agreement
from fedseg.predictions import Teacher
from fedseg.progress import Progress
from fedseg.runs import Run
from fedseg.target_files import Teachers, write_fused, write_gated


def make_targets(
    run: Run,
    federation: Federation,
    clients: dict[str, Path],
    student: checkpoints.Info,
    progress: Progress,
) -> Dataset:
    """Write every client's predictions, inconsistency.json, generated/ and the fused targets.

    Args:
        run: the run folder.
        federation: its configuration.
        clients: checkpoint folder of each client.
        student: of the model to be distilled; its input size sets the size of the targets.
        progress: told how far the work is.

    Returns:
        The images that the targets belong to: the server's, and the generated ones after them.
    """
    augmentation = federation.server.augmentation
    shown = federation.server.labelling
    images = open_dataset(federation.server, labelled=False)
    chosen = list(range(len(images)))
    teachers = teachers_of(run, clients)
    coverage = {name: teacher.coverage for name, teacher in teachers.items()}
    predict_all(teachers, images, student, shown, progress)
    everyone = compare(teachers, chosen, progress)
    agreement = typical_agreement(everyone, coverage)
    named = suspects(agreement)
    trusted = {name: teacher for name, teacher in teachers.items() if name not in named}
    content = record(everyone.among(list(trusted)), coverage, augmentation.unstable_classes)
    content |= {"agreement": agreement, "suspects": named}
    if augmentation.generator != "none":
        generator = make_generator(augmentation, images, list(trusted.values()))
        weights = weights_of(generator, content["inconsistency"], augmentation.unstable_classes)
        candidates = generation.make_candidates(
            generator,
            augmentation.images,
            weights,
            federation.seed,
            run.generated,
            partial(progress, "generating images"),
        )
        first = len(images)
        images = generation.dataset_with(images, candidates)
        predict_all(trusted, images, student, shown, progress)
        chosen += generation.judge(
            candidates, first, list(trusted.values()), run.generated / "manifest.json"
        )
        after = record(compare(trusted, chosen, progress), coverage, augmentation.unstable_classes)
        content["after_augmentation"] = after["inconsistency"]
    write_json(run.inconsistency, content)
    figures.save(figures.inconsistency_figure(content), run.inconsistency.with_suffix(".png"))
    images_kept = replace(images, images=tuple(images.images[index] for index in chosen))
    settings = federation.server.distillation
    weights = reliability(run, list(trusted))
    if settings.fusion == "mean":
        write_fused(run.targets, settings, trusted, chosen, progress, weights)
    else:
        mean = run.targets / "mean"
        write_fused(mean, settings, trusted, chosen, progress, weights)
        seed = federation.seed
        write_gated(mean, run.targets, settings, trusted, images_kept, student, seed, progress)
    return images_kept


def teachers_of(run: Run, clients: dict[str, Path]) -> Teachers:
    """The clients as teachers, with what they predicted so far."""
    return {name: Teacher(folder, run.predictions) for name, folder in clients.items()}


def make_generator(
    augmentation: Augmentation, images: Dataset, teachers: list[Teacher]
) -> generation.Generator:
    """What makes more images of the classes, as configured."""
    if augmentation.generator == "diffusion":
        return Diffusion(augmentation, images, teachers)
    return Mix(images, teachers)


def weights_of(
    generator: generation.Generator, inconsistency: dict[str, float | None], most: int
) -> dict[int, float]:
    """The inconsistency, by trainId, of the most unstable classes that a generator can make."""
    ranked = sorted(((score, name) for name, score in inconsistency.items() if score), reverse=True)
    ids = ((CLASSES.index(name), score) for score, name in ranked)
    return dict(islice(((c, score) for c, score in ids if generator.makes(c)), most))


def predict_all(
    teachers: Teachers,
    images: Dataset,
    student: checkpoints.Info,
    protocol: Protocol,
    progress: Progress,
) -> None:
    """Have every client predict every image, shown as the protocol says."""
    for name, teacher in teachers.items():
        told = partial(progress, f"labels by {name}")
        predictions.predict(teacher.checkpoint, images, student, teacher.folder, told, protocol)


def compare(teachers: Teachers, chosen: list[int], progress: Progress) -> Agreement:
    """Count on which of the chosen images' cells the clients agree."""
    agreement = Agreement(list(teachers))
    for done, index in enumerate(chosen, 1):
        agreement.update([t.chances(index).argmax(axis=-1) for t in teachers.values()])
        progress("comparing clients", done, len(chosen))
    return agreement
