"""Predicting pictures: a trainId map and an overlay for each, or a video of the overlays."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn

from fedseg.classes import colourise
from fedseg.data.images import SUFFIXES, read_image
from fedseg.errors import FedsegError
from fedseg.evaluation.evaluate import classify
from fedseg.evaluation.inference import infer, resize
from fedseg.evaluation.video import SUFFIXES as VIDEO_SUFFIXES
from fedseg.evaluation.video import Video, writing
from fedseg.files import atomic_file, fitting_name
from fedseg.models.checkpoints import Info
from fedseg.run.progress import OnProgress

Item = Path | tuple[str, np.ndarray]


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

    Raises:
        FedsegError: something is not there, can't be read or holds no image, or two results would
            have one name.
    """
    images: list[Path] = []
    sequences: list[Sequence] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(
                p
                for p in path.iterdir()
                if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
            )
            if not inside:
                raise FedsegError(f"{path}: no image in this folder")
            sequences.append(Sequence(path.resolve().name, tuple(inside)))
        elif not path.is_file():
            raise FedsegError(f"{path}: no such file or folder")
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            sequences.append(Sequence(path.stem, Video(path)))
        else:
            images.append(path)
    if images:
        sequences.insert(0, Sequence("images", tuple(images)))
    by_name: dict[str, Path | str] = {}
    for sequence in sequences:
        pictures = sequence.pictures
        for path in [pictures.path] if isinstance(pictures, Video) else pictures:
            other = by_name.setdefault(path.stem, path)
            if other is not path:
                raise FedsegError(f"{path} and {other} would both be written as {path.stem}_*")
    return sequences


def predict_frames(
    network: nn.Module, info: Info, sequence: Sequence, out: Path, on_image: OnProgress
) -> None:
    """Write `<stem>_trainId.png` and `<stem>_overlay.jpg` for each picture, at its size.

    Args:
        network: in evaluation mode.
        info: of the model.
        sequence: the pictures.
        out: folder to write to; made where it is not there.
        on_image: called after each picture.

    Raises:
        FedsegError: an image can't be read.
    """

    def write(name: str, image: np.ndarray, label: np.ndarray) -> None:
        _save(out / fitting_name(name, "_trainId.png"), label)
        _save(out / fitting_name(name, "_overlay.jpg"), overlay(image, label))

    _predict(network, info, sequence, write, on_image)


def predict_video(
    network: nn.Module,
    info: Info,
    sequence: Sequence,
    out: Path,
    rate: float,
    on_image: OnProgress,
) -> None:
    """Write `<name>_overlay.mp4`, whole or not at all.

    Args:
        network: in evaluation mode.
        info: of the model.
        sequence: the pictures, all of one size.
        out: folder to write to; made where it is not there.
        rate: frames a second, of a sequence that has no rate of its own.
        on_image: called after each picture.

    Raises:
        FedsegError: an image can't be read, or pictures differ in size.
    """
    rate = sequence.pictures.rate if isinstance(sequence.pictures, Video) else rate
    with writing(out / fitting_name(sequence.name, "_overlay.mp4"), rate) as video:

        def write(name: str, image: np.ndarray, label: np.ndarray) -> None:
            video.write(overlay(image, label))

        _predict(network, info, sequence, write, on_image)


def _predict(
    network: nn.Module,
    info: Info,
    sequence: Sequence,
    write: Callable[[str, np.ndarray, np.ndarray], None],
    on_image: OnProgress,
) -> None:
    """Hand the name, the pixels and the trainIds of each picture to `write`."""
    pictures: Iterable[Item] = sequence
    for done, (item, image, logits) in enumerate(infer(network, info, _pixels, pictures), 1):
        write(item.stem if isinstance(item, Path) else item[0], image, _train_ids(logits, image))
        on_image(done, len(sequence))


def predict(network: nn.Module, info: Info, image: np.ndarray) -> np.ndarray:
    """Segment one image.

    Args:
        network: in evaluation mode.
        info: of the model.
        image: uint8 [H, W, 3], RGB.

    Returns:
        The trainId of each pixel, uint8 [H, W].

    Example:
        >>> import fedseg
        >>> import numpy as np
        >>> from PIL import Image
        >>> network, info = fedseg.load_checkpoint("runs/embedded/global")
        >>> image = np.asarray(Image.open("photo.jpg").convert("RGB"))
        >>> label = fedseg.predict(network, info, image)
        >>> label.shape == image.shape[:2], label.dtype, label.max() < 19
        (True, dtype('uint8'), np.True_)
    """
    [(_, _, logits)] = infer(network, info, lambda picture: picture, [image])
    return _train_ids(logits, image)


def _train_ids(logits: Tensor, image: np.ndarray) -> np.ndarray:
    """Logits at any size to trainIds at the image's, uint8 [H, W]."""
    return classify(resize(logits, image.shape[:2])).cpu().numpy().astype(np.uint8)


def overlay(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """An image, uint8 [H, W, 3], under the half-transparent colours of a trainId map [H, W].

    Example:
        >>> import fedseg
        >>> import numpy as np
        >>> image, label = np.full((2, 2, 3), 200, np.uint8), np.zeros((2, 2), np.uint8)
        >>> fedseg.overlay(image, label)[0, 0].tolist()  # half of it grey, half the road's colour
        [164, 132, 164]
    """
    return (image // 2) + (colourise(label) // 2)


def _pixels(item: Item) -> np.ndarray:
    return read_image(item) if isinstance(item, Path) else item[1]


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_file(path) as temporary:
        Image.fromarray(array).save(temporary)
