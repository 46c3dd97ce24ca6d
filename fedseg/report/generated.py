"""Images that were made of unstable classes."""

from collections import Counter
from dataclasses import dataclass, field

from fedseg.classes import ClassList
from fedseg.data.images import read_image
from fedseg.errors import FedsegError
from fedseg.report import pictures
from fedseg.run.folder import Run
from fedseg.run.records import Judgement, Manifest

KEPT, DROPPED = 8, 4
"""How many images are shown of those kept, and of those that were not."""


@dataclass(frozen=True)
class Made:
    """A generated image."""

    label: str
    """The class it was made of."""
    kept: bool
    reason: str
    picture: str
    """A data URI."""
    size: tuple[int, int]
    """Width and height in pixels."""
    box: tuple[float, float, float, float]
    """Left, top, width and height of the region of that class, in % of the image."""


@dataclass(frozen=True)
class Generated:
    """What augmentation did."""

    made: int = 0
    kept: int = 0
    by_class: list[tuple[str, int, int]] = field(default_factory=list)
    """Class, images made of it, images kept."""
    images: list[Made] = field(default_factory=list)


def find_generated(run: Run, classes: ClassList) -> Generated | None:
    """What the manifest of a run says, and some of its images; None where none were made."""
    manifest = run.generated / "manifest.json"
    if not manifest.is_file():
        return None
    content = Manifest.read(manifest)
    entries = content.images
    made = Counter(entry.recipe.class_name for entry in entries)
    kept = Counter(entry.recipe.class_name for entry in entries if entry.kept)
    chosen = [entry for entry in entries if entry.kept][:KEPT]
    chosen += [entry for entry in entries if not entry.kept][:DROPPED]
    return Generated(
        content.made,
        content.kept,
        [(name, made[name], kept[name]) for name in sorted(made, key=classes.names.index)],
        [shown for entry in chosen if (shown := _shown(run, entry))],
    )


def _shown(run: Run, entry: Judgement) -> Made | None:
    """An image of the manifest; None where its file is gone."""
    try:
        image = pictures.shrink_image(read_image(run.generated / entry.file))
    except FedsegError:
        return None
    top, left, bottom, right = (100 * part for part in entry.recipe.box)
    return Made(
        entry.recipe.class_name,
        entry.kept,
        entry.reason,
        pictures.photo_uri(image),
        (image.shape[1], image.shape[0]),
        (left, top, right - left, bottom - top),
    )
