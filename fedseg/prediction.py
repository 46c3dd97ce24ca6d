"""Predicting images: a trainId map and an overlay for each."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fedseg import checkpoints
from fedseg.classes import colourise
from fedseg.data.dataset import read_image
from fedseg.errors import FedsegError
from fedseg.files import atomic_file
from fedseg.inference import infer, resize
from fedseg.models import best_device
from fedseg.progress import OnProgress

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def find_images(inputs: list[Path]) -> list[Path]:
    """The images meant by files and folders, in order.

    Raises:
        FedsegError: something is not there, a folder holds no image, or two images have one stem,
            so that the results of one would overwrite the other's.
    """
    images: list[Path] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise FedsegError(f"{path}: no image in this folder")
            images += inside
        elif path.is_file():
            images.append(path)
        else:
            raise FedsegError(f"{path}: no such file or folder")
    by_stem: dict[str, Path] = {}
    for image in images:
        other = by_stem.setdefault(image.stem, image)
        if other is not image:
            raise FedsegError(f"{image} and {other} would both be written as {image.stem}_*")
    return images


def predict(checkpoint: Path, images: list[Path], out: Path, on_image: OnProgress) -> None:
    """Write `<stem>_trainId.png` and `<stem>_overlay.jpg` for each image, at its size.

    Args:
        checkpoint: a checkpoint folder.
        images: image files.
        out: folder to write to; made where it is not there.
        on_image: called after each image.

    Raises:
        FedsegError: the checkpoint or an image can't be read.
    """
    network, info = checkpoints.load(checkpoint, best_device())
    for done, (path, image, logits) in enumerate(infer(network, info, read_image, images), 1):
        train_ids = resize(logits, image.shape[:2]).max(dim=0).indices
        label = train_ids.to(torch.uint8).cpu().numpy()
        _save(out / f"{path.stem}_trainId.png", label)
        _save(out / f"{path.stem}_overlay.jpg", overlay(image, label))
        on_image(done, len(images))


def overlay(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """An image, uint8 [H, W, 3], under the half-transparent colours of a trainId map [H, W]."""
    return (image // 2) + (colourise(label) // 2)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_file(path) as temporary:
        Image.fromarray(array).save(temporary)
