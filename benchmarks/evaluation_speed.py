"""Scoring at 1024x2048 against the bare forward pass, label reading's share, and memory over time.

The pictures are streetsim's, enlarged: what is in them does not matter to the clock, that they must
be decoded does. The bare pass and the evaluator take turns.

    python benchmarks/evaluation_speed.py [--images 12] [--rounds 3] [--many 10000]
"""

import resource
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import torch
from command import start
from rich.console import Console

from fedseg.config import Model, Protocol, Source, Training
from fedseg.data.dataset import Dataset, open_dataset
from fedseg.data.label_map import LabelMap
from fedseg.evaluation.evaluate import evaluate
from fedseg.models import checkpoints
from fedseg.models.build import best_device, build
from fedseg.resize import resize_image, resize_label
from fedseg.streetsim import render
from fedseg.training.loop import normalise
from fedseg.training.optimisation import autocast

MODEL = Model(arch="fpn", encoder="tu-tf_efficientnet_lite0", encoder_weights="none")
SIZE = (1024, 2048)


def main(images: int = 12, rounds: int = 3, many: int = 10_000) -> None:
    """Print the ratio round by round, the cost of reading labels, and memory after many images."""
    network = build(MODEL).eval().to(best_device())
    info = checkpoints.describe_model(MODEL, Training(crop=(512, 1024)))
    with tempfile.TemporaryDirectory() as folder:
        large = make(Path(folder) / "large", images, SIZE)
        ratios = []
        for _ in range(rounds):
            bare, ours = bare_forward(network, info, large), scored(network, info, large)
            ratios.append(bare / ours)
            Console().print(f"bare {images / bare:.3f} images/s, evaluator {images / ours:.3f}")
        started = time.perf_counter()
        for index in range(images):
            LabelMap(large.card).train_ids()[large.label(index)]
        labels = (time.perf_counter() - started) / ours
        Console().print(
            f"throughput {statistics.median(ratios):.3f} of the bare pass (median of {rounds}; "
            f"{min(ratios):.3f} to {max(ratios):.3f}); reading labels takes {labels:.1%} of the "
            "time, were it not done beside the rest"
        )
        memory(network, info, make(Path(folder) / "small", 50, (96, 128)), many)


def make(root: Path, images: int, size: tuple[int, int]) -> Dataset:
    """Pictures and labels of that size on disk."""
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for index in range(images):
        image, label = render("crosstown", 0, index)
        large = resize_image(image, size)
        cv2.imwrite(str(root / "images" / f"{index:03d}.png"), large[..., ::-1])
        large = resize_label(label, size)
        cv2.imwrite(str(root / "labels" / f"{index:03d}.png"), large)
    return open_dataset(Source(dataset="folder", root=root))


@torch.inference_mode()
def bare_forward(network, info, dataset: Dataset) -> float:
    """Seconds of the model over the dataset's tensors, already in memory."""
    device = best_device()
    tensors = [torch.from_numpy(dataset.image(i)[None].copy()) for i in range(len(dataset))]
    batches = [normalise(tensor, info.normalisation) for tensor in tensors]
    started = time.perf_counter()
    for batch in batches:
        with autocast(device, "auto"):
            network(batch.to(device)).float()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def scored(network, info, dataset: Dataset) -> float:
    """Seconds of scoring the same images at the same size, from disk to confusion matrix."""
    started = time.perf_counter()
    evaluate(network, info, dataset, Protocol(height="original"))
    return time.perf_counter() - started


def memory(network, info, dataset: Dataset, images: int) -> None:
    """Print the process's peak memory after a tenth of the images and after all."""
    repeats = -(-images // len(dataset))
    endless = Dataset(
        dataset.card, dataset.split, dataset.images * repeats, (dataset.labels or ()) * repeats
    )
    info = info.model_copy(update={"inference_height": 96})
    peaks = {}

    def note(stage: str, done: int, total: int, /, **_: object) -> None:
        if done in (total // 10, total):
            peaks[done] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    evaluate(network, info, endless, progress=note)
    early, late = peaks.values()
    done = " and ".join(map(str, peaks))
    Console().print(f"peak memory after {done} images: {early:.0f} and {late:.0f} MB")


if __name__ == "__main__":
    start(main)
