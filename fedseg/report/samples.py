"""Images side by side with everybody's labels: where clients disagree, where the model is wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedseg.classes import ClassList
from fedseg.config import GLOBAL, Evaluation, Federation, Server
from fedseg.data.dataset import open_dataset
from fedseg.errors import FedsegError
from fedseg.evaluation.inference import PLAIN
from fedseg.models import checkpoints
from fedseg.models.build import best_device
from fedseg.report import pictures
from fedseg.report.candidates import Candidates
from fedseg.run.progress import Progress

MOST, MOST_OF_A_SET = 36, 12
"""Images looked at, over all sets and of one: what bounds the time that a report takes."""
SHOWN = 3
"""Images shown at most for each of the three reasons."""


@dataclass(frozen=True)
class Tile:
    """Labels of an image, as a picture."""

    title: str
    source: str
    """A data URI."""
    note: str = ""


@dataclass(frozen=True)
class Sample:
    """An image with everybody's labels of it."""

    name: str
    photo: str
    """A data URI."""
    size: tuple[int, int]
    """Width and height in pixels."""
    caption: str
    tiles: list[Tile]


@dataclass(frozen=True)
class SampleSet:
    """Samples of one set of images, by the reason to show them."""

    name: str
    caption: str
    legend: dict[str, str] = field(default_factory=dict)
    """Colour of each class, in CSS."""
    groups: dict[str, list[Sample]] = field(default_factory=dict)


def find_samples(
    federation: Federation,
    models: dict[str, Path],
    trusted: list[str],
    progress: Progress,
) -> list[SampleSet]:
    """Run the models on some images of each evaluation set and of the server, and choose.

    Args:
        federation: says where the images are.
        models: checkpoint folders, the clients' and the global model's.
        trusted: clients whose disagreement counts.
        progress: receives the state of the work.

    Returns:
        For each set its samples; or none, with the reason, where its images can't be read.
    """
    sources: list[tuple[str, Evaluation | Server]] = [
        (chosen.name, chosen) for chosen in federation.evaluation
    ]
    sources.append(("the server's images", federation.server))
    count = max(min(MOST // len(sources), MOST_OF_A_SET), 1)
    opened = {name: _open(name, source, federation.classes, count) for name, source in sources}
    readable = [found for found in opened.values() if isinstance(found, Candidates)]
    for done, (model, folder) in enumerate(models.items() if readable else [], 1):
        _predict(model, folder, readable)
        progress("report", done, len(models))
    return [
        _choose(found, trusted) if isinstance(found, Candidates) else SampleSet(name, found)
        for name, found in opened.items()
    ]


def _predict(model: str, folder: Path, sets: list[Candidates]) -> None:
    """In a function of its own, so that no two models are in memory at once."""
    network, info = checkpoints.load(folder, best_device())
    for candidates in sets:
        candidates.predict(model, network, info)


def _open(
    name: str, source: Evaluation | Server, classes: ClassList, count: int
) -> Candidates | str:
    """Images of a set, or why there are none."""
    protocol = source.protocol if isinstance(source, Evaluation) else None
    try:
        dataset = open_dataset(source, labelled=protocol is not None)
        return Candidates(name, dataset, classes, protocol or PLAIN, count)
    except FedsegError as error:
        return f"These images can't be opened any more: {error}."


def _choose(of: Candidates, trusted: list[str]) -> SampleSet:
    groups: dict[str, list[Sample]] = {}
    left = list(range(len(of)))
    shown = min(SHOWN, max(len(of) // 3, 1))

    def take(title: str, chosen: Sequence[int]) -> None:
        groups[title] = [_sample(of, trusted, place) for place in chosen]
        left[:] = [place for place in left if place not in chosen]

    def highest(score: Callable[[int], float]) -> list[int]:
        return sorted(left, key=score, reverse=True)[:shown]

    take("Typical: at even distances through the set", evenly_spaced(len(of), shown))
    if len(trusted) > 1:
        most = highest(lambda place: of.disagreement(trusted, place))
        take("Where the clients disagree most", most)
    if of.labels is not None and GLOBAL in of.predictions:
        worst = highest(lambda place: of.wrong(GLOBAL, place))
        take("Where the global model is most wrong", worst)
    legend = dict(zip(of.classes, map(pictures.css, of.colours), strict=False))
    caption = f"Chosen out of {len(of)} images spread evenly over the set."
    if len(trusted) > 1:
        caption += " How far clients differ is the mean over pairs of them."
    return SampleSet(
        of.name,
        caption,
        legend,
        {title: samples for title, samples in groups.items() if samples},
    )


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` numbers below `count`, at even distances."""
    return sorted({(2 * place + 1) * count // (2 * most) for place in range(most)} if count else ())


def _sample(of: Candidates, trusted: list[str], place: int) -> Sample:
    image = of.images[place]
    predicted = {model: maps[place] for model, maps in of.predictions.items()}
    label = None if of.labels is None else of.labels[place]
    tiles = [
        Tile(
            model,
            pictures.segmentation_uri(labels, of.colours),
            "" if label is None else f"{1 - of.wrong(model, place):.0%} right",
        )
        for model, labels in predicted.items()
    ]
    notify = []
    if len(trusted) > 1:
        notify.append(f"clients differ on {of.disagreement(trusted, place):.0%} of the pixels")
    if label is not None:
        tiles.append(Tile("truth", pictures.segmentation_uri(label, of.colours)))
        if GLOBAL in predicted:
            wrong = pictures.mistakes_uri(predicted[GLOBAL], label)
            tiles.append(Tile("global's mistakes", wrong))
            notify.append(f"the global model is wrong on {of.wrong(GLOBAL, place):.0%}")
    return Sample(
        of.file_name(place),
        pictures.photo_uri(image),
        (image.shape[1], image.shape[0]),
        "; ".join(notify),
        tiles,
    )
