"""Pictures and labels as PNG files."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fedseg.processes import map_in_processes

from .render import render
from .styles import STYLES


def write(
    root: Path,
    style: str,
    images: int,
    seed: int = 0,
    size: tuple[int, int] = (192, 256),
    workers: int | None = None,
    on_image: Callable[[int], None] | None = None,
) -> None:
    """Writes pictures 0..images-1 to `root/images/<style>/` and `root/labels/<style>/`.

    Files are `<index:05d>.png`: RGB, and 8 bits of train ids. What is there already is kept, so
    an interrupted call can be repeated. `workers` processes (default: one per CPU) share the work;
    the bytes do not depend on how many. `on_image` gets each index when its files are there.
    Raises ValueError for an unknown style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}; known: {', '.join(STYLES)}")
    for part in ("images", "labels"):
        (root / part / style).mkdir(parents=True, exist_ok=True)
    task = partial(_one, root, style, seed, size)
    workers = workers or os.cpu_count() or 1
    missing = []
    for index in range(images):
        if not all(path.exists() for path in _paths(root, style, index)):
            missing.append(index)
        elif on_image:
            on_image(index)
    # Windows has no file descriptors to pass on to a process.
    one_by_one = workers == 1 or len(missing) < 2 or sys.platform == "win32"
    alone = partial(_in_one_thread, task)
    for index in map(task, missing) if one_by_one else map_in_processes(alone, missing, workers):
        if on_image:
            on_image(index)


def paths(root: Path, style: str, images: int) -> list[Path]:
    """The files that `write` writes: each picture and its label."""
    return [path for index in range(images) for path in _paths(root, style, index)]


def _paths(root: Path, style: str, index: int) -> tuple[Path, Path]:
    name = f"{index:05d}.png"
    return root / "images" / style / name, root / "labels" / style / name


def _in_one_thread(task: Callable[[int], int], index: int) -> int:
    cv2.setNumThreads(1)  # the CPUs are shared among the processes
    return task(index)


def _one(root: Path, style: str, seed: int, size: tuple[int, int], index: int) -> int:
    image, label = render(style, seed, index, size)
    picture, answer = _paths(root, style, index)
    _save(picture, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    _save(answer, label)
    return index


def _save(path: Path, pixels: np.ndarray) -> None:
    """Writes a PNG whole or not at all."""
    if path.exists():
        return
    good, data = cv2.imencode(".png", pixels)
    if not good:
        raise OSError(f"cannot encode {path.name}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data.tobytes())
    temporary.replace(path)
