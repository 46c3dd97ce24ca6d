"""Pictures to predict: images, folders of frames and videos. Needs no torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedseg.data.images import SUFFIXES
from fedseg.errors import FedsegError
from fedseg.evaluation.video import SUFFIXES as VIDEO_SUFFIXES
from fedseg.evaluation.video import Video

Frame = tuple[str, np.ndarray]
"""A name, and pixels."""
Item = Path | Frame


@dataclass(frozen=True)
class Sequence:
    """Pictures that belong together: given one by one, a folder of frames, or a video."""

    name: str
    """What a video of them is called."""
    pictures: tuple[Path, ...] | Video
    """Image files, or a video."""

    def __len__(self) -> int:
        return self.pictures.frames if isinstance(self.pictures, Video) else len(self.pictures)

    def __iter__(self) -> Iterator[Item]:
        """Image files, or the names and pixels of frames."""
        if not isinstance(self.pictures, Video):
            return iter(self.pictures)
        return ((f"{self.name}_{i:06d}", frame) for i, frame in enumerate(self.pictures))


def find_sequences(inputs: list[Path]) -> list[Sequence]:
    """The pictures meant by image files, videos and folders of frames, in order.

    Args:
        inputs: files and folders.

    Raises:
        FedsegError: something is not there, can't be read or holds no image, or two results would
            have one name.
    """
    images: list[Path] = []
    sequences: list[Sequence] = []
    for path in inputs:
        if path.is_dir():
            if not (found := _images_in(path)):
                raise FedsegError(f"{path}: no image in this folder")
            sequences.append(Sequence(path.resolve().name, found))
        elif not path.is_file():
            raise FedsegError(f"{path}: no such file or folder")
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            sequences.append(Sequence(path.stem, Video(path)))
        else:
            images.append(path)
    if images:
        sequences.insert(0, Sequence("images", tuple(images)))
    by_name: dict[str, Path] = {}
    for sequence in sequences:
        pictures = sequence.pictures
        for path in [pictures.path] if isinstance(pictures, Video) else pictures:
            other = by_name.setdefault(path.stem, path)
            if other is not path:
                raise FedsegError(
                    f"{path} and {other} have names that differ in folder or suffix only, so both "
                    f"results would be {path.stem}_*; rename one, or predict them one after the "
                    "other with another --out"
                )
    return sequences


def _images_in(folder: Path) -> tuple[Path, ...]:
    """The image files right in a folder."""
    return tuple(
        sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
    )
