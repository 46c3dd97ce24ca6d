"""How trainings scale with processes, and the server's stages with clients and images.

    python benchmarks/scaling.py

A small FPN is trained at 256x192 with batches of 8. Predictions are 160x320 cells, those of a
student that sees 640x1280 pixels; images are noisy and of 1914x1052 pixels, like GTA5's, and one of
4000x3000, like Mapillary's. Nothing is downloaded.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from command import start
from PIL import Image
from rich.console import Console
from rich.table import Table

from fedseg.classes import CITYSCAPES
from fedseg.config import Augmentation, Model, Source, Training
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.data.loading import prefetch
from fedseg.evaluation.evaluate import class_map
from fedseg.evaluation.inference import infer, resize_logits
from fedseg.extras.mix import Mix
from fedseg.method.generation.candidates import make_candidates
from fedseg.method.inconsistency import compare_clients
from fedseg.method.teachers import Teacher
from fedseg.models import checkpoints
from fedseg.models.build import IMAGENET, build
from fedseg.resize import resize_image, resize_label, resize_target
from fedseg.storage.arrays import write_planes
from fedseg.training.callbacks import Callback
from fedseg.training.loop import TrainingRun, fit
from fedseg.training.losses import count_labelled, cross_entropy
from fedseg.training.supervised import Examples

CELLS = (160, 320)
IMAGE, LARGE = (1052, 1914), (3000, 4000)
CROPS = (192, 256), (256, 512), (512, 1024)
IMAGES = 8


def main() -> None:
    """Print a table."""
    table = Table("what", "takes")
    one, two = (steps_per_second(processes) for processes in (1, 2))
    table.add_row("training in 2 processes, group normalisation", f"{two / one:.2f} times 1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = noisy_images(folder / "server")
        bare = len(images) / timed(lambda: [np.asarray(Image.open(p)) for p in images.images])
        table.add_row("images decoded by Pillow alone, a second", f"{bare:.1f}")
        for crop in CROPS:
            first, *both = (examples_per_second(images, crop, threads) for threads in (1, 1, 2))
            what = f"examples of {crop[0]}x{crop[1]}"
            table.add_row(f"{what} made by a thread, a second, at first", f"{first:.1f}")
            table.add_row(f"{what}, once all images were seen", f"{both[0]:.1f}")
            table.add_row(f"{what}, made by 2 threads", f"{both[1] / both[0]:.2f} times 1")
        one, two = (labels_per_second(images, copies) for copies in (1, 2))
        table.add_row("labels by 2 copies of a model, a thread each", f"{two / one:.2f} times 1")
        teachers = predicted(folder, 64)
        size = teachers[0].files[0].stat().st_size
        table.add_row("predictions on disk, an image and client", f"{size / 1e6:.2f} MB")
        for count in (4, 16, 64):
            some = {str(k): teacher for k, teacher in enumerate(teachers[:count])}
            seconds = timed(lambda some=some: compare_clients(some, silent)) / IMAGES
            table.add_row(f"comparing {count} clients, an image", f"{1e3 * seconds:.0f} ms")
        mix = Mix(Augmentation(generator="mix"), images, teachers[:4])
        seconds = timed(lambda: mix.makes(0))
        table.add_row(
            "regions of all classes, 4 clients, an image", f"{1e3 * seconds / IMAGES:.0f} ms"
        )
        made = folder / "made"
        seconds = timed(
            lambda: make_candidates(mix, IMAGES, {0: 1.0}, CITYSCAPES, 0, made, {}, silent)
        )
        table.add_row("an image by mix", f"{seconds / IMAGES:.2f} s")
    for kind, members in (
        ("19 classes", None),
        ("7 coarse classes", torch.eye(7).repeat(1, 3)[:, :19]),
    ):
        logits = torch.randn(19, 768, 1024)
        seconds, peak = watched(lambda m=members, z=logits: class_map(z, LARGE, m))
        table.add_row(
            f"classes of a 4000x3000 image, {kind}", f"{seconds:.1f} s, {peak / 1e9:.2f} GB"
        )
    Console().print(table)


class Clock(Callback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Note it."""
        self.ends.append(time.perf_counter())


def random_example(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image and a label of noise: only the model's time is measured."""
    image = rng.integers(0, 256, (192, 256, 3), dtype=np.uint8)
    return image, rng.integers(0, 19, (192, 256), dtype=np.uint8)


def steps_per_second(processes: int) -> float:
    """Of a training of a small FPN on the CPU, with a thread in each process."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are started
    clock, settings = Clock(), Training(iterations=25)
    run = TrainingRun(
        settings=settings,
        seed=0,
        device=torch.device("cpu"),
        callbacks=(clock,),
        processes=processes,
    )
    network = build(Model(encoder_weights="none", norm="group"))
    fit(network, random_example, cross_entropy, IMAGENET, run, count_labelled)
    return 20 / (clock.ends[-1] - clock.ends[-21])


def examples_per_second(dataset: Dataset, crop: tuple[int, int], threads: int) -> float:
    """Of a training: images and labels read and augmented."""
    counts, training = np.ones((len(dataset), 19), np.int64), Training(crop=crop)
    make = Examples([dataset], [counts], training, CITYSCAPES)
    seeds = range(6 * len(dataset))

    def run() -> None:
        for _ in prefetch(lambda seed: make(np.random.default_rng(seed)), seeds, threads):
            pass

    return len(seeds) / timed(run)


def labels_per_second(images: Dataset, copies: int) -> float:
    """Images labelled by copies of a small FPN at 512x928, as several GPUs would share them."""
    torch.set_num_threads(1)
    model, training = Model(encoder_weights="none"), Training(inference_height=512)
    network, info = build(model).eval(), checkpoints.describe_model(model, training)
    pictures = [images.image(index) for index in range(len(images))] * 3
    devices = [torch.device("cpu")] * copies

    def label() -> None:
        for _, _, logits in infer(
            network, info, pictures.__getitem__, range(len(pictures)), devices=devices
        ):
            resize_logits(logits, CELLS).softmax(dim=0)

    return len(pictures) / timed(label)


def silent(*_: object, **__: object) -> None:
    """Show no progress."""


def noisy_images(root: Path) -> Dataset:
    """Images that compress as badly as photographs, with labels."""
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for index in range(IMAGES):
        coarse = rng.integers(0, 256, (26, 48, 3), dtype=np.uint8)
        smooth = resize_image(coarse, IMAGE)
        noisy = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / "images" / f"{index}.png", compress_level=1)
        blocks = rng.integers(0, 19, (26, 48), dtype=np.uint8)
        label = resize_label(blocks, IMAGE)
        Image.fromarray(label).save(root / "labels" / f"{index}.png")
    return open_dataset(Source(dataset="folder", root=root))


def predicted(folder: Path, clients: int) -> list[Teacher]:
    """Clients that agree on most of each image."""
    rng = np.random.default_rng(0)
    model = Model(encoder_weights="none")
    checkpoint = folder / "client"
    checkpoints.save(checkpoint, build(model), checkpoints.describe_model(model, Training()))
    scenes = rng.random((IMAGES, 6, 8, 19)).astype(np.float32)
    teachers = []
    for k in range(clients):
        teacher = Teacher(checkpoint)
        for index, scene in enumerate(scenes):
            own = rng.random((12, 16, 19)).astype(np.float32)
            scores = resize_target(scene, CELLS) + 0.3 * resize_target(own, CELLS)
            scores = scores**16 / (scores**16).sum(axis=-1, keepdims=True)
            teacher.files.append(folder / str(k) / f"{index}.npz")
            write_planes(teacher.files[-1], (255 * scores).round().astype(np.uint8))
        teachers.append(teacher)
    return teachers


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def watched(work: Callable[[], object]) -> tuple[float, int]:
    """Seconds that it takes, and bytes of memory at its peak above what was there before."""
    process, over = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    peak = before

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    seconds = timed(work)
    over.set()
    thread.join()
    return seconds, peak - before


if __name__ == "__main__":
    start(main)
