"""Writes a world's images and labels: resumable, on all cores."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2

from fedseg.files import atomic_file

from .rendering.mitsuba import start
from .rendering.render import Renderer
from .worlds import WORLDS

QUALITY = 92
"""Of the JPEG images."""

_renderers: dict[str, Renderer] = {}


def paths(folder: Path, number: int) -> tuple[Path, Path]:
    """Where the image and the labels of a number are."""
    return folder / "images" / f"{number:05d}.jpg", folder / "labels" / f"{number:05d}.png"


def missing(folder: Path, numbers: range) -> list[int]:
    """The numbers that are not complete."""
    return [n for n in numbers if not all(path.exists() for path in paths(folder, n))]


def write(world: str, folder: Path, numbers: list[int], workers: int):
    """Renders numbers into a folder; yields each number, and why it failed or None."""
    for path in paths(folder, 0):
        path.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")  # Mitsuba has threads of its own
    with ProcessPoolExecutor(workers, context, _quiet) as pool:
        jobs = {pool.submit(_write_one, world, folder, number): number for number in numbers}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _quiet():
    """One thread for a worker: there are as many workers as cores."""
    _, drjit = start()
    drjit.set_thread_count(1)
    cv2.setNumThreads(1)


def _write_one(world, folder, number):
    if world not in _renderers:
        _renderers[world] = Renderer(WORLDS[world], *start())
    try:
        rendered = _renderers[world].render(number)
    except (ValueError, ZeroDivisionError, IndexError) as error:  # a rare degenerate street
        return f"{type(error).__name__}: {error}"
    image_path, labels_path = paths(folder, number)
    image = cv2.cvtColor(rendered.image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    _, png = cv2.imencode(".png", rendered.labels)
    for path, data in ((labels_path, png), (image_path, jpeg)):
        with atomic_file(path) as temporary:
            temporary.write_bytes(data.tobytes())
    return None
