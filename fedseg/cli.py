"""The command line."""

# Torch takes seconds to import and help should not, so each command imports what it needs itself.

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fedseg import cli_deploy
from fedseg.cli_data import data
from fedseg.errors import FedsegError, RunFailed

app = typer.Typer(
    help="Federated learning for synthetic-to-real segmentation of driving scenes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(data, name="data")
app.add_typer(cli_deploy.node, name="node")
app.add_typer(cli_deploy.server, name="server")
app.add_typer(cli_deploy.app, name="app")


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
def distill(
    run: Annotated[Path, typer.Argument(help="Run folder whose clients to use.")],
    without: Annotated[list[str] | None, typer.Option(help="Leave this client out.")] = None,
    late: Annotated[
        list[Path] | None, typer.Option("--with", help="Add this client's checkpoint folder.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New run folder; default: a name that says what changed.")
    ] = None,
) -> None:
    """Make a new global model from saved clients: without one, or with a late one.

    Example: `fedseg distill runs/first --without suburb`
    """
    from fedseg import console
    from fedseg.redistillation import redistil
    from fedseg.result import result_table

    changes = [f"without-{name}" for name in without or []]
    changes += [f"with-{folder.name}" for folder in late or []]
    out = out or run.with_name("-".join([run.name, *(changes or ["again"])]))
    with console.Bars() as bars:
        result = redistil(run, without or [], late or [], out, partial(bars, name="server"))
    console.show(result_table(result))
    console.show_run(out)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: report.html in the run folder.")
    ] = None,
) -> None:
    """Write a run's report anew: one HTML file, with scores, samples and curves.

    Every run ends with one; after `fedseg compare` there is more to tell.

    Example: `fedseg report runs/first`
    """
    from fedseg import console
    from fedseg.report import report_on

    with console.Bars() as bars:
        written = report_on(run, out, bars)
    console.show(f"report: {written}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders that differ in the seed only.")],
) -> None:
    """Compare the global model with FedAvg, FedDF, the ensemble and the upper bound.

    What is missing is trained and scored, and kept in the run folders.

    Example: `fedseg compare runs/seed0 runs/seed1 runs/seed2`
    """
    from fedseg import console
    from fedseg.comparison import compare as compare_runs

    with console.Bars() as bars:
        table = compare_runs(runs, bars)
    console.show(table.rich())


@app.command()
def evaluate(
    checkpoint: Annotated[list[Path], typer.Argument(help="Checkpoint folders.")],
    dataset: Annotated[str | None, typer.Option(help="Dataset card: a name, or a file.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the dataset.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of the card.")] = None,
    suite: Annotated[
        Path | None, typer.Option(help="TOML file of several datasets, in place of --dataset.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the scores to this file.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores and tables; goes on where it stopped.")
    ] = None,
) -> None:
    """Score checkpoints on labelled datasets.

    Examples: `fedseg evaluate runs/first/global --dataset camvid --root /data/CamVid --split val`,
    `fedseg evaluate runs/*/global --suite examples/suite.toml --out scores`
    """
    from fedseg import config, console
    from fedseg import suite as suites
    from fedseg.files import write_json

    if (dataset is None) == (suite is None):
        raise FedsegError("say what to score on: either --dataset CARD or --suite FILE")
    if dataset:
        chosen = {"dataset": dataset, "root": root, "split": split}
        sets = config.parse(config.Suite, {"evaluation": [chosen]}, Path("--dataset"))
    elif root or split:
        raise FedsegError("--root and --split go with --dataset; a suite names its own")
    else:
        sets = config.load(suite, config.Suite)
    with console.Bars() as bars:
        scores = suites.score_suite(checkpoint, sets, bars, out)
    of_all = [score for row in scores.values() for score in row.values()]
    if json:
        write_json(json, of_all[0] if len(of_all) == 1 else scores)
    if len(of_all) == 1:
        console.show(console.score_table(of_all[0]))
    else:
        console.show(suites.suite_table(scores, sets.evaluation).rich())


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    pictures: Annotated[
        list[Path], typer.Argument(help="Images, videos, or folders of images or frames.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for what is written.")],
    video: Annotated[
        bool | None,
        typer.Option(
            "--video/--frames",
            help="Write a video, or an overlay and a trainId map for each frame; default: what "
            "was given.",
        ),
    ] = None,
    fps: Annotated[float, typer.Option(min=0.1, help="Frames a second of images.")] = 10.0,
) -> None:
    """Segment images and videos.

    Writes <stem>_overlay.jpg and <stem>_trainId.png for an image, <stem>_overlay.mp4 for a video.

    Example: `fedseg predict runs/first/global photo.jpg drive.mp4 --out predictions`
    """
    from fedseg import checkpoints, console, prediction
    from fedseg.models import best_device
    from fedseg.video import Video

    sequences = prediction.find_sequences(pictures)
    network, info = checkpoints.load(checkpoint, best_device())
    with console.Bars() as bars:
        for sequence in sequences:
            told = partial(bars, f"predicting {sequence.name}")
            if isinstance(sequence.pictures, Video) if video is None else video:
                prediction.predict_video(network, info, sequence, out, fps, told)
            else:
                prediction.predict_frames(network, info, sequence, out, told)
    console.show(f"{sum(map(len, sequences))} pictures segmented into {out}")


app.command()(cli_deploy.certs)
app.command()(cli_deploy.run)
