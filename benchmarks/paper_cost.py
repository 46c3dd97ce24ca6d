"""What the setting of examples/paper.toml costs, by arithmetic: nothing of it has to be at hand.

    python benchmarks/paper_cost.py [--teraflops N]

Operations are counted in one forward pass of the model without memory (torch's FlopCounterMode);
a training step takes three times as many. Hours follow from the speed that one GPU is assumed to
reach, which `python benchmarks/gpu.py` measures: its images/s times the operations an image.
Painting images by diffusion, comparing predictions and reading files are not counted.
"""

from pathlib import Path

import torch
from command import start
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from fedseg import config
from fedseg.config import Model
from fedseg.evaluation.inference import input_size, view_size
from fedseg.models.build import outline_model
from fedseg.models.checkpoints import describe_model
from fedseg.planning.disk import written_for
from fedseg.planning.estimate import PROCESS, training_bytes
from fedseg.planning.stages import made_images

PAPER = Path(__file__).parents[1] / "examples" / "paper.toml"
SERVER = (4256, (1080, 1920))
SETS = {
    "Cityscapes": (500, (1024, 2048)),
    "BDD100K": (1000, (720, 1280)),
    "Mapillary": (2000, (3024, 4032)),
    "IDD": (2036, (1080, 1920)),
    "ACDC": (406, (1080, 1920)),
}
"""Number and usual size of the images of WildDash 2 and of the sets' validation parts."""


def main(teraflops: float = 100.0) -> None:
    """Print a table."""
    federation = config.load(PAPER)
    model, student = federation.model.plain, federation.server.distillation.training
    [training] = {client.training for client in federation.clients}
    clients = len(federation.clients)
    info = describe_model(model, training)

    step = 3 * training.batch_size * forward(model, training.crop)
    pictures = SERVER[0] + made_images(federation.server.augmentation)
    seen = input_size(*SERVER[1], info)
    scored = 0.0
    for chosen in federation.evaluation:
        count, size = SETS[chosen.name]
        scored += count * forward(model, view_size(*size, info, chosen.protocol))
    rows = {
        f"{clients} clients, {training.iterations} steps each": (
            clients * training.iterations * step
        ),
        f"labels of {pictures} images": clients * pictures * forward(model, seen),
        f"distillation, {student.iterations} steps": student.iterations * step,
        f"scores of {clients + 1} models": (clients + 1) * scored,
    }
    table = Table("stage", "PFLOP", "hours on 1 GPU", "on 8 GPUs")
    for name, operations in [*rows.items(), ("together", sum(rows.values()))]:
        hours = operations / (teraflops * 1e12) / 3600
        table.add_row(name, f"{operations / 1e15:.0f}", f"{hours:.1f}", f"{hours / 8:.1f}")
    out = Console()
    out.print(table)
    needed = training_bytes(model, training) - PROCESS
    models = [client.model for client in federation.clients]
    disk = sum(written_for(models, model, student, pictures, SERVER[1]))
    out.print(f"assumed: {teraflops:g} TFLOP/s a GPU")
    out.print(f"GPU memory of a training: {needed / 2**30:.0f} GiB, in bfloat16 about half")
    out.print(f"disk: {disk / 1e9:.0f} GB")


def forward(model: Model, size: tuple[int, int]) -> int:
    """Operations of a forward pass of one image; a multiplication with an addition counts two."""
    network = outline_model(model.plain).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 3, *size, device="meta"))
    return counter.get_total_flops()


if __name__ == "__main__":
    start(main)
