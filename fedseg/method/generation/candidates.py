"""More images of the classes that the clients disagree on, labelled by nobody but the clients."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from fedseg.classes import ClassList
from fedseg.config import Augmentation
from fedseg.data.dataset import Dataset
from fedseg.data.shards import sharded
from fedseg.files import atomic_file, file_sha256
from fedseg.method.teachers import Teacher
from fedseg.run.progress import Progress
from fedseg.run.records import Judgement, Manifest, Recipe
from fedseg.storage.provenance import Inputs

FOUND = 0.3
"""Part of the wanted region that the clients, on average, must give to the wanted class."""


class Made(NamedTuple):
    """A generated image."""

    image: np.ndarray
    """uint8 [H, W, 3], RGB."""
    box: tuple[float, float, float, float]
    """Top, left, bottom and right of the region of the wanted class, in parts of the image."""
    area: float
    """Size of that region, in parts of the image."""
    made_of: Mapping[str, str | int | float]
    """Prompt, or images that it was made of, for the manifest."""
    is_certain: bool = False
    """Whether the class is there by construction; else the clients have to find it."""


class Generator(Protocol):
    """Makes an image of a wanted class; the same one for the same random numbers.

    It is pickled for other machines before its first image is made, so it loads models then.
    """

    def makes(self, train_id: int) -> bool:
        """Whether it can make images of that class at all."""

    def make(self, train_id: int, rng: np.random.Generator) -> Made | None:
        """An image in which that class appears; None where it can't make one."""


class ConfiguredGenerator(Generator, Protocol):
    """A generator that reads `[server.augmentation.options]`, or files."""

    @staticmethod
    def check(settings: Augmentation, classes: ClassList) -> None:
        """See, before anything is trained, that images can be made.

        Raises:
            FedsegError: a wrong option, or a file that is missing.
        """

    @staticmethod
    def inputs(settings: Augmentation) -> Inputs:
        """What images depend on besides the settings, such as hashes of files, as JSON values."""


@runtime_checkable
class BatchGenerator(Generator, Protocol):
    """A generator that makes several images at once in less time."""

    batch_size: int
    """How many."""

    def make_batch(
        self, train_ids: list[int], rngs: list[np.random.Generator]
    ) -> list[Made | None]:
        """What `make` gives for each class and its random numbers, up to rounding."""


def make_candidates(
    generator: Generator,
    wanted: int,
    weights: dict[int, float],
    classes: ClassList,
    seed: int,
    folder: Path,
    inputs: Inputs,
    progress: Progress,
) -> list[Path]:
    """Write images of classes drawn in proportion to their weights; those there are kept.

    Args:
        generator: makes them.
        wanted: how many to try.
        weights: of each trainId, its inconsistency.
        classes: names trainIds.
        seed: image i follows from (seed, i) alone.
        folder: for `<i>.png` and `<i>.json`, which says what it should show.
        inputs: what the images are made from; one that was made from others is made again.
        progress: receives the state of the work.

    Returns:
        The image files, in order.
    """
    ids = sorted(weights)
    probabilities = np.array([weights[c] for c in ids])
    total = wanted if probabilities.sum() > 0 else 0
    paths = {index: folder / f"{index:06d}.png" for index in range(total)}
    missing = [index for index, path in paths.items() if not _is_made(path, inputs)]
    size = generator.batch_size if isinstance(generator, BatchGenerator) else 1

    def make(numbers: Sequence[int]) -> Iterator[tuple[int, bool]]:
        for start in range(0, len(numbers), size):
            batch = numbers[start : start + size]
            rngs = [np.random.default_rng([seed, index]) for index in batch]
            drawn = [int(rng.choice(ids, p=probabilities / probabilities.sum())) for rng in rngs]
            images = _make(generator, drawn, rngs)
            for index, train_id, made in zip(batch, drawn, images, strict=True):
                if made is not None:
                    _write(folder / f"{index:06d}.png", made, classes.names[train_id], inputs)
                yield index, made is not None

    for done, (index, is_made) in enumerate(sharded(make, missing), total - len(missing) + 1):
        if not is_made:
            del paths[index]
        progress("generating images", done, total)
    kept = {path.stem for path in paths.values()}
    for path in folder.glob("[0-9]*.*"):  # of other settings
        if path.stem not in kept:
            path.unlink()
    return list(paths.values())


def _make(
    generator: Generator, train_ids: list[int], rngs: list[np.random.Generator]
) -> list[Made | None]:
    if isinstance(generator, BatchGenerator):
        images = generator.make_batch(train_ids, rngs)
    else:
        images = [generator.make(*one) for one in zip(train_ids, rngs, strict=True)]
    for made in images:
        check_made(made)
    return images


def check_made(made: object) -> None:
    """See that a generator made what it should.

    Raises:
        TypeError: it is no `Made` with an image, uint8 [H, W, 3], and it is not None.
    """
    image = made.image if isinstance(made, Made) else made
    if made is None or (isinstance(made, Made) and _is_rgb(image)):
        return
    found = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image)
    raise TypeError(f"make returned {found}; expected Made with an image uint8 [H, W, 3], or None")


def _is_rgb(image: object) -> bool:
    return (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
    )


def _write(path: Path, made: Made, class_name: str, inputs: Inputs) -> None:
    """Write an image, and beside it what it should show."""
    with atomic_file(path) as temporary:
        Image.fromarray(made.image).save(temporary, "PNG", compress_level=1)
    recipe = Recipe(
        class_name=class_name,
        box=made.box,
        area=made.area,
        made_of=dict(made.made_of),
        is_certain=made.is_certain,
        sha256=file_sha256(path),
    )
    recipe.write(path.with_suffix(".json"), inputs)


def _is_made(path: Path, inputs: Inputs) -> bool:
    """Whether a candidate is there, undamaged and made from these inputs."""
    recipe = Recipe.read_if_made_from(path.with_suffix(".json"), inputs)
    return recipe is not None and path.is_file() and file_sha256(path) == recipe.sha256


def judge_candidates(
    candidates: list[Path], first: int, teachers: list[Teacher], manifest: Path
) -> list[int]:
    """Keep the candidates that do show the wanted class; write the manifest.

    They do by construction, or because the clients find it.

    Args:
        candidates: image files, each with its recipe beside it.
        first: index of the first of them among the images that the teachers have predicted.
        teachers: the clients.
        manifest: file that says of each candidate what it is, whether it was kept, and why.

    Returns:
        Indices of those kept.
    """
    kept, judged = [], []
    for index, path in enumerate(candidates, start=first):
        recipe = Recipe.read(path.with_suffix(".json"))
        found = _found(index, recipe, teachers)
        is_good = recipe.is_certain or found >= FOUND
        if is_good:
            kept.append(index)
        reason = f"the clients find {recipe.class_name} in {found:.0%} of the region meant for it"
        judged.append(Judgement(file=path.name, recipe=recipe, kept=is_good, reason=reason))
    Manifest(made=len(candidates), kept=len(kept), images=judged).write(manifest)
    return kept


def _found(index: int, recipe: Recipe, teachers: list[Teacher]) -> float:
    """Part of the wanted region that clients who know the class give to it, on average."""
    top, left, bottom, right = recipe.box
    shares = []
    for teacher in teachers:
        train_id = teacher.class_list.names.index(recipe.class_name)
        if train_id in teacher.coverage:
            classes = teacher.classes(index)
            rows, columns = classes.shape
            part = classes[
                int(top * rows) : int(np.ceil(bottom * rows)),
                int(left * columns) : int(np.ceil(right * columns)),
            ]
            cells = max(recipe.area * classes.size, 1.0)
            shares.append(min((part == train_id).sum() / cells, 1.0))
    return float(np.mean(shares)) if shares else 0.0


def dataset_with(images: Dataset, extra: list[Path]) -> Dataset:
    """The same dataset with more images after its own."""
    return Dataset(images.card, images.split, images.images + tuple(extra), None)
