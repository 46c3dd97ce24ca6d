"""How street-like streetsim is: a model trained on one style alone, scored on CamVid's 11 classes.

500 images of a style, 300 iterations of 8 at 256x192, FPN with EfficientNet-Lite0 and ImageNet
weights. Scores are on CamVid's validation images, which streetsim's painter was judged by too.

    python benchmarks/streetsim_camvid.py --camvid /data/CamVid --weights lite0.safetensors
"""

from functools import partial
from pathlib import Path

import typer
from rich.table import Table

from fedseg import streetsim
from fedseg.cli import console
from fedseg.config import Model, Source, SupervisedTraining
from fedseg.data.dataset import open_dataset
from fedseg.data.survey import survey, train_id_counts
from fedseg.evaluation.evaluate import evaluate
from fedseg.files import cache_dir
from fedseg.models.build import best_device
from fedseg.training.callbacks import ReportProgress
from fedseg.training.loop import TrainingRun
from fedseg.training.supervised import train_supervised

CLIENT_STYLES = ("boulevard", "suburb", "oldtown")


def main(camvid: Path, weights: str = "imagenet", seed: int = 0, images: int = 500) -> None:
    """Train on each client style, and print per-class IoU and mIoU."""
    model = Model(encoder_weights=weights)
    training = SupervisedTraining(iterations=300, batch_size=8, crop=(192, 256))
    validation = open_dataset(Source(dataset="camvid", root=camvid, split="val"))
    root = cache_dir() / "benchmarks" / f"streetsim-{streetsim.VERSION}"
    scores = {}
    with console.Bars() as bars:
        for style in CLIENT_STYLES:
            streetsim.write(root, style, images)
            dataset = open_dataset(Source(dataset="streetsim", root=root, split=style))
            counts = train_id_counts(dataset, survey(dataset))
            notify = partial(bars, "training", name=style)
            run = TrainingRun(
                settings=training,
                seed=seed,
                device=best_device(),
                callbacks=(ReportProgress(notify),),
            )
            network, info, _ = train_supervised([dataset], [counts], model, run, run.seed)
            scores[style] = evaluate(network, info, validation)
    table = Table("class", *scores, title=f"CamVid val, IoU %, seed {seed}")
    for entry in validation.card.classes:
        cells = (score.iou[entry.name] for score in scores.values())
        table.add_row(entry.name, *("-" if v is None else f"{100 * v:.1f}" for v in cells))
    table.add_section()
    table.add_row("mIoU", *(f"{100 * score.miou:.1f}" for score in scores.values()))
    console.show(table)


if __name__ == "__main__":
    typer.run(main)
