"""Draws what the models of a run see, beside the truth. The README's picture was made so:

    python docs/picture.py RUN docs/images/predictions.jpg --dataset streetsim --split harbour

Images are taken at even distances, not chosen.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont

from fedseg import Source, load_checkpoint, load_result, open_dataset, predict
from fedseg.classes import CITYSCAPES
from fedseg.data.label_map import LabelMap
from fedseg.resize import resize_image

CELL = (176, 234)
"""Height and width of a picture in pixels."""
GAP, HEADING = 4, 22
"""Space between pictures, and above them for their names."""


def main(
    run: Path,
    out: Path,
    dataset: Annotated[str, typer.Option()],
    root: Annotated[Path | None, typer.Option()] = None,
    split: Annotated[str | None, typer.Option()] = None,
    images: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Draw a row an image: the image, every client's prediction, the global model's, the truth."""
    opened = open_dataset(Source(dataset=dataset, root=root, split=split))
    chosen = np.linspace(0, len(opened) - 1, images + 2).astype(int)[1:-1]
    photos = [opened.image(index) for index in chosen]
    truths = [LabelMap(opened.card).train_ids()[opened.label(index)] for index in chosen]
    columns = {"image": photos}
    for name in [*load_result(run).clients, "global"]:
        folder = run / "global" if name == "global" else run / "clients" / name
        model = load_checkpoint(folder)
        columns[name] = [CITYSCAPES.colourise(predict(*model, photo)) for photo in photos]
    columns["truth"] = [CITYSCAPES.colourise(truth) for truth in truths]
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(columns).save(out, quality=85)


def draw(columns: dict[str, list[np.ndarray]]) -> Image.Image:
    """Pictures, uint8 [H, W, 3], in columns with headings."""
    rows = len(next(iter(columns.values())))
    height, width = CELL[0] + GAP, CELL[1] + GAP
    sheet = Image.new("RGB", (len(columns) * width - GAP, HEADING + rows * height - GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (name, pictures) in enumerate(columns.items()):
        left = column * width
        middle = (left + CELL[1] // 2, HEADING // 2)
        pen.text(middle, name, "black", ImageFont.load_default(15), anchor="mm")
        for row, picture in enumerate(pictures):
            small = resize_image(picture, CELL)
            sheet.paste(Image.fromarray(small), (left, HEADING + row * height))
    return sheet


if __name__ == "__main__":
    typer.run(main)
