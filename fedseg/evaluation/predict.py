"""Predicting pictures: a trainId map and an overlay for each, or a video of the overlays."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from torch import Tensor, nn

from fedseg.classes import CITYSCAPES, ClassList
from fedseg.data.images import read_image
from fedseg.data.loading import prefetch
from fedseg.errors import FedsegError
from fedseg.evaluation.evaluate import class_map
from fedseg.evaluation.inference import infer, resize_logits
from fedseg.evaluation.pictures import Picture, as_rgb
from fedseg.evaluation.sequences import Frame, Item, Sequence
from fedseg.evaluation.video import Video, write_video
from fedseg.files import atomic_file, fitting_name, write_bytes
from fedseg.models.checkpoints import Info
from fedseg.run.progress import Progress


def predict_frames(
    network: nn.Module,
    info: Info,
    sequence: Sequence,
    out: Path,
    progress: Progress,
    probabilities: bool = False,
) -> list[str]:
    """Write `<stem>_trainId.png`, `_color.png` and `_overlay.jpg` for each picture, at its size.

    The first is grey, 8 bits: a trainId for each pixel, as in Cityscapes' files. The second shows
    the classes' colours, RGB. With `probabilities`, `<stem>_probabilities.npz` holds an array of
    that name, float16 [C, H, W].

    Args:
        network: in evaluation mode.
        info: of the model.
        sequence: the pictures.
        out: folder to write to; made where it is not there.
        progress: receives the state of the work.
        probabilities: whether to write them too.

    Returns:
        What is wrong with the pictures that can't be read; the others have results.
    """

    def write(name: str, image: np.ndarray, logits: Tensor) -> None:
        label = _train_ids(logits, image)
        colours = info.classes.colourise(label)
        _save_png(out / fitting_name(name, "_trainId.png"), label)
        _save_png(out / fitting_name(name, "_color.png"), cv2.cvtColor(colours, cv2.COLOR_RGB2BGR))
        with atomic_file(out / fitting_name(name, "_overlay.jpg"), durable=False) as temporary:
            Image.fromarray(_mixed(image, colours)).save(temporary, format="JPEG", quality=90)
        if probabilities:
            values = resize_logits(logits, image.shape[:2]).softmax(dim=0).half().cpu().numpy()
            path = out / fitting_name(name, "_probabilities.npz")
            with atomic_file(path, durable=False) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, probabilities=values)

    return _predict(network, info, sequence, write, progress)


def predict_video(
    network: nn.Module, info: Info, name: str, video: Video, out: Path, progress: Progress
) -> None:
    """Write `<name>_overlay.mp4` (H.264), whole or not at all.

    Args:
        network: in evaluation mode.
        info: of the model.
        name: what the video is called.
        video: its frames.
        out: folder to write to; made where it is not there.
        progress: receives the state of the work.
    """
    with write_video(out / fitting_name(name, "_overlay.mp4"), video.rate) as written:

        def write(_: str, image: np.ndarray, logits: Tensor) -> None:
            written.write(overlay(image, _train_ids(logits, image), info.classes))

        _predict(network, info, Sequence(name, video), write, progress)


def _predict(
    network: nn.Module,
    info: Info,
    sequence: Sequence,
    write: Callable[[str, np.ndarray, Tensor], None],
    progress: Progress,
) -> list[str]:
    """Hand the name, the pixels and the logits of each picture to `write`.

    Returns:
        What is wrong with those that can't be read.
    """
    problems: list[str] = []

    def read(item: Item) -> Frame | FedsegError:
        if not isinstance(item, Path):
            return item
        try:
            return item.stem, read_image(item)
        except FedsegError as error:
            return error

    def good() -> Iterator[Frame]:
        for found in prefetch(read, iter(sequence), threads=2, ahead=4):
            if isinstance(found, FedsegError):
                problems.append(str(found))
            else:
                yield found

    frames = infer(network, info, lambda frame: frame[1], good())
    for done, ((name, _), image, logits) in enumerate(frames, 1):
        write(name, image, logits)
        progress(f"predicting {sequence.name}", done + len(problems), len(sequence))
    return problems


def predict(network: nn.Module, info: Info, image: Picture) -> np.ndarray:
    """Segment one image.

    Args:
        network: in evaluation mode.
        info: of the model.
        image: a path, a PIL image, an array or a tensor, see `pictures.as_rgb`.

    Returns:
        The trainId of each pixel, uint8 [H, W].

    Raises:
        FedsegError: it is no such picture, or can't be read.

    Examples:
        >>> import fedseg
        >>> network, info = fedseg.load_checkpoint("runs/embedded/global")
        >>> label = fedseg.predict(network, info, "photo.jpg")
        >>> label.shape, label.dtype, label.max() < 19
        ((48, 80), dtype('uint8'), np.True_)
    """
    [(_, pixels, logits)] = infer(network, info, lambda picture: picture, [as_rgb(image)])
    return _train_ids(logits, pixels)


def _train_ids(logits: Tensor, image: np.ndarray) -> np.ndarray:
    """Logits at any size to trainIds at the image's, uint8 [H, W]."""
    return class_map(logits, image.shape[:2]).cpu().numpy().astype(np.uint8)


def overlay(image: np.ndarray, label: np.ndarray, classes: ClassList = CITYSCAPES) -> np.ndarray:
    """An image, uint8 [H, W, 3], under the half-transparent colours of a trainId map [H, W].

    Examples:
        >>> import fedseg
        >>> import numpy as np
        >>> image, label = np.full((2, 2, 3), 200, np.uint8), np.zeros((2, 2), np.uint8)
        >>> fedseg.overlay(image, label)[0, 0].tolist()  # half of it grey, half the road's colour
        [164, 132, 164]
    """
    return _mixed(image, classes.colourise(label))


def _mixed(image: np.ndarray, colours: np.ndarray) -> np.ndarray:
    return (image // 2) + (colours // 2)


def _save_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 [H, W] as a grey image, or uint8 [H, W, 3], BGR, as one in colours."""
    _, content = cv2.imencode(".png", pixels)
    write_bytes(path, content.tobytes(), durable=False)  # the command makes all of them again
