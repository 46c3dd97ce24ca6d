"""An exported model on the CPU beside PyTorch's: milliseconds an image, the two taking turns.

Two turns warm up and do not count.

    python benchmarks/export_speed.py [--height 512] [--width 1024] [--rounds 5]
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
from command import start
from rich.console import Console

from fedseg.config import Model, Training
from fedseg.models import checkpoints
from fedseg.models.build import build
from fedseg.models.export import export
from fedseg.models.exported import open_model

MODELS = (
    ("fpn", "tu-tf_efficientnet_lite0"),
    ("deeplabv3plus", "resnet18"),
    ("segformer", "mit_b0"),
    ("dpt", "tu-vit_small_patch16_224"),
)


def main(height: int = 512, width: int = 1024, rounds: int = 5) -> None:
    """Print milliseconds an image in PyTorch and in onnxruntime."""
    images = torch.randn(1, 3, height, width)
    for arch, encoder in MODELS:
        model = Model(arch=arch, encoder=encoder, encoder_weights="none")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            checkpoints.save(path, build(model), checkpoints.describe(model, Training()))
            export(path, path.with_suffix(".onnx"))
            networks = {
                "PyTorch": checkpoints.load(path)[0],
                "ONNX": open_model(path.with_suffix(".onnx"), "cpu")[0],
            }
            taken: dict[str, list[float]] = {name: [] for name in networks}
            for turn in range(rounds + 2):  # the first two warm up
                for name, network in networks.items():
                    begun = time.perf_counter()
                    with torch.inference_mode():
                        network(images)
                    if turn > 1:
                        taken[name].append(1000 * (time.perf_counter() - begun))
            medians = {name: statistics.median(times) for name, times in taken.items()}
            Console().print(
                f"{arch} {encoder}: "
                + ", ".join(f"{name} {value:.0f} ms" for name, value in medians.items())
            )


if __name__ == "__main__":
    start(main)
