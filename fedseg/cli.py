"""The command line."""

# Torch takes seconds to import and help should not, so each command imports what it needs itself.

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fedseg.cli_data import data
from fedseg.errors import FedsegError, RunFailed

app = typer.Typer(
    help="Federated learning for synthetic-to-real segmentation of driving scenes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(data, name="data")


def main() -> None:
    """Entry point of the `fedseg` command: a user's mistake is one line, never a traceback."""
    # OpenMP's threads spin while they wait. On a machine that does anything else besides, that
    # makes training up to 20 times slower; asleep, they cost next to nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except FedsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, RunFailed) else 2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        sys.exit(130)


@app.command()
def simulate(
    config: Annotated[
        Path | None, typer.Argument(help="Federation file; default: the embedded streetsim one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; default: runs/<name of the file>.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the file's seed.")] = None,
    upper_bound: Annotated[
        bool, typer.Option(help="Also train one model on all clients' data, to compare.")
    ] = False,
) -> None:
    """Run a federation on this machine, with Flower's simulation engine on Ray.

    Example: `fedseg simulate examples/rendered-to-real.toml --out runs/first`
    """
    from fedseg import config as configuration
    from fedseg.simulation import simulate as run_simulation

    path = config or configuration.EMBEDDED
    federation = configuration.load(path)
    if seed is not None:
        federation = configuration.with_seed(federation, seed)
    run_simulation(federation, out or Path("runs") / path.stem, upper_bound)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    dataset: Annotated[str, typer.Option(help="Dataset card: a name, or a file.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the dataset.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of the card.")] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the score to this file.")] = None,
) -> None:
    """Score a checkpoint on a labelled dataset.

    Example: `fedseg evaluate runs/first/global --dataset camvid --root /data/CamVid --split val`
    """
    from fedseg import checkpoints, console
    from fedseg.config import Source
    from fedseg.data.dataset import open_dataset
    from fedseg.evaluation import evaluate as score_model
    from fedseg.files import write_json
    from fedseg.models import best_device

    network, info = checkpoints.load(checkpoint, best_device())
    with console.Bars() as bars:
        source = Source(dataset=dataset, root=root, split=split)
        data = open_dataset(source, on_render=partial(bars, "rendering"))
        score = score_model(network, info, data, partial(bars, "evaluating"))
    if json:
        write_json(json, {"checkpoint": str(checkpoint), **score})
    console.show(console.score_table(score))


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    out: Annotated[
        Path, typer.Option(help="Folder for <stem>_overlay.jpg and <stem>_trainId.png.")
    ],
) -> None:
    """Segment images.

    Example: `fedseg predict runs/first/global photo.jpg --out predictions`
    """
    from fedseg import console, prediction

    found = prediction.find_images(images)
    with console.Bars() as bars:
        prediction.predict(checkpoint, found, out, partial(bars, "predicting"))
    console.show(f"{len(found)} images segmented into {out}")
