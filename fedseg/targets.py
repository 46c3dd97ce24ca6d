"""What the server makes of the clients' models before it distils them: the soft targets.

server images -> every client's predictions -> inconsistency, suspects -> generated images of
unstable classes -> predictions on these too -> fused and balanced targets
"""

import shutil
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from fedseg import checkpoints, figures, generation, predictions
from fedseg.classes import CLASSES
from fedseg.config import Augmentation, Federation, Protocol
from fedseg.cross_validation import reliability
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.files import digest, read_json, write_json
from fedseg.generation.diffusion import Diffusion
from fedseg.generation.mix import Mix
from fedseg.inconsistency import Agreement, record, record_without_suspects
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
    images = open_dataset(federation.server, labelled=False)
    chosen = list(range(len(images)))
    augmentation = federation.server.augmentation
    teachers = teachers_of(run, clients)
    predict_all(teachers, images, student, federation.server.labelling, progress)
    coverage = {name: teacher.coverage for name, teacher in teachers.items()}
    most = augmentation.unstable_classes
    everyone = compare(teachers, chosen, progress)
    content = record_without_suspects(everyone, coverage, most)
    trusted = {name: teachers[name] for name in content["clients"]}
    if augmentation.generator != "none":
        scores = content["inconsistency"]
        images, found = _augment(run, federation, trusted, images, scores, student, progress)
        chosen += found
        after = record(compare(trusted, chosen, progress), coverage, most)
        content["after_augmentation"] = after["inconsistency"]
    write_json(run.inconsistency, content)
    figures.save(figures.inconsistency_figure(content), run.inconsistency.with_suffix(".png"))
    kept = replace(images, images=tuple(images.images[index] for index in chosen))
    settings = federation.server.distillation
    is_gated = settings.fusion == "features"
    fused = run.targets / "mean" if is_gated else run.targets
    write_fused(fused, settings, trusted, chosen, progress, reliability(run, list(trusted)))
    if is_gated:
        seed = federation.seed
        write_gated(fused, run.targets, settings, trusted, kept, student, seed, progress)
    return kept


def teachers_of(run: Run, clients: dict[str, Path]) -> Teachers:
    """The clients as teachers, with what they predicted so far."""
    return {name: Teacher(folder, run.predictions) for name, folder in clients.items()}


def _augment(
    run: Run,
    federation: Federation,
    teachers: Teachers,
    images: Dataset,
    inconsistency: dict[str, float | None],
    student: checkpoints.Info,
    progress: Progress,
) -> tuple[Dataset, list[int]]:
    """The server's images with generated ones after them, and which of those are good."""
    augmentation = federation.server.augmentation
    judges = list(teachers.values())
    made_by = digest(*(judge.sha256 for judge in judges), augmentation, federation.seed)
    _forget_others(run, made_by, len(images))
    generator = make_generator(augmentation, images, judges)
    wanted = weights_of(generator, inconsistency, augmentation.unstable_classes)
    told = partial(progress, "generating images")
    candidates = generation.make_candidates(
        generator, augmentation.images, wanted, federation.seed, run.generated, told
    )
    together = generation.dataset_with(images, candidates)
    predict_all(teachers, together, student, federation.server.labelling, progress)
    manifest = run.generated / "manifest.json"
    return together, generation.judge(candidates, len(images), judges, manifest)


def _forget_others(run: Run, made_by: str, first: int) -> None:
    """Remove generated images unless these very clients led to them, and what was said of them.

    Another client, one that answered late, makes other classes unstable and other regions agreed.

    Args:
        run: the run folder.
        made_by: digest of all that the images follow from.
        first: number of the first generated image in predictions.
    """
    known = run.state / "generated.json"
    if known.is_file() and read_json(known) == made_by:
        return
    shutil.rmtree(run.generated, ignore_errors=True)
    for array in run.predictions.glob("*/*.npy"):
        # Features of all images depend on which images there are.
        if int(array.stem) >= first or array.parent.name.endswith("-features"):
            array.unlink()
    write_json(known, made_by)


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
