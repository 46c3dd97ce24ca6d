"""The commands about trained models: `fedseg evaluate`, `fedseg predict` and `fedseg export`."""

from pathlib import Path
from typing import Annotated

import typer

from fedseg.cli.options import (
    CardOption,
    Json,
    Plugins,
    Quiet,
    RayAddress,
    RootOption,
    Settings,
    Split,
)
from fedseg.errors import FedsegError, RunFailed

models = typer.Typer()


def trust_models(plugins: list[str] | None) -> None:
    """Let checkpoints have the architectures that `--plugin` names."""
    from fedseg.models.info import trust_model

    for name in plugins or ():
        trust_model(name)


@models.command()
def evaluate(
    checkpoint: Annotated[
        list[Path],
        typer.Argument(help="Checkpoint folders, hf://REPO[@REVISION], or files of `export`."),
    ],
    dataset: CardOption = None,
    root: RootOption = None,
    split: Split = None,
    suite: Annotated[
        Path | None, typer.Option(help="TOML file of several datasets, in place of --dataset.")
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores and tables; goes on where it stopped.")
    ] = None,
    plugins: Plugins = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Score checkpoints on labelled datasets.

    Example: `fedseg evaluate runs/first/global --dataset camvid --root /data/CamVid --split val`
    """
    from fedseg import config
    from fedseg.cli import console
    from fedseg.cli.tables import rich_table, score_table
    from fedseg.plugins import locate_reference

    if (dataset is None) == (suite is None):
        raise FedsegError("say what to score on: either --dataset CARD or --suite FILE")
    if suite is None:
        chosen = {"dataset": locate_reference(str(dataset)), "root": root, "split": split}
        data = {"evaluation": [chosen]}
        sets = config.parse(config.Suite, data, Path("--dataset"), settings or [])
    elif root or split:
        raise FedsegError("--root and --split go with --dataset; a suite names its own")
    else:
        sets = config.load(suite, config.Suite, settings=settings or [])
    from fedseg.data.shards import check_cluster, join_cluster
    from fedseg.evaluation.suite_checks import check_suite

    trust_models(plugins)
    check_suite(checkpoint, sets, out)
    check_cluster(ray_address)
    from fedseg.evaluation.suite import as_json, score_suite, suite_table

    with console.Bars() as bars, join_cluster(ray_address):
        scores = score_suite(checkpoint, sets, bars, out)
    of_all = [score for row in scores.values() for score in row.values()]
    alone = score_table(of_all[0]) if len(of_all) == 1 else None
    console.answer(json, as_json(scores), alone or rich_table(suite_table(scores, sets.evaluation)))


@models.command()
def predict(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Checkpoint folder, hf://REPO[@REVISION], or a file of `export`."),
    ],
    pictures: Annotated[
        list[Path], typer.Argument(help="Images, videos, or folders of images or frames.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for what is written.")],
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write probabilities, as .npz.")
    ] = False,
    plugins: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Segment images and videos.

    Writes NAME_trainId.png (8 bits of grey, a trainId for each pixel), NAME_color.png and
    NAME_overlay.jpg for an image, NAME_overlay.mp4 for a video. Exit status 1 if a picture can't be
    read.

    Example: `fedseg predict runs/first/global photo.jpg drive.mp4 --out predictions`
    """
    from fedseg.cli import console
    from fedseg.evaluation.sequences import find_sequences
    from fedseg.evaluation.video import Video
    from fedseg.files import check_writable
    from fedseg.models.info import check_model

    trust_models(plugins)
    check_writable(out)
    check_model(checkpoint)
    sequences = find_sequences(pictures)
    if probabilities and any(isinstance(one.pictures, Video) for one in sequences):
        raise FedsegError("--probabilities are not written of videos; give its frames as images")
    from fedseg.evaluation.predict import predict_frames, predict_video
    from fedseg.models.build import best_device
    from fedseg.models.exported import open_model

    network, info = open_model(checkpoint, best_device())
    problems: list[str] = []
    with console.Bars() as bars:
        for sequence in sequences:
            if isinstance(sequence.pictures, Video):
                predict_video(network, info, sequence.name, sequence.pictures, out, bars)
            else:
                problems += predict_frames(network, info, sequence, out, bars, probabilities)
    count = sum(map(len, sequences)) - len(problems)
    console.show(f"{count} pictures segmented into {out}")
    if problems:
        raise RunFailed(f"{len(problems)} can't be read: " + "; ".join(problems))


@models.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder, or hf://REPO[@REVISION].")],
    out: Annotated[Path, typer.Option(help="File to write, .onnx.")],
    normalise: Annotated[
        bool,
        typer.Option("--normalise", help="The file takes uint8 RGB and normalises it."),
    ] = False,
    argmax: Annotated[
        bool, typer.Option("--argmax", help="The file gives trainIds in place of logits.")
    ] = False,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="HEIGHT WIDTH",
            help="Only size it shall take; default: any.",
        ),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Write a model as ONNX for other programs, and compare the two.

    Images are [N, 3, H, W], normalised float32 as in fedseg.json; logits are [N, C, H, W].

    Example: `fedseg export runs/first/global --out model.onnx --normalise --argmax`
    """
    from fedseg.cli import console
    from fedseg.models.info import check_export

    trust_models(plugins)
    check_export(checkpoint, out)
    from fedseg.models.export import OPSET, export

    parity = export(checkpoint, out, normalise, argmax, size)
    console.show(f"{out}: ONNX, opset {OPSET}, {out.stat().st_size / 1e6:.1f} MB; {parity}")


@models.command()
def push(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME on the hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository a private one.")
    ] = False,
    card: Annotated[
        Path | None,
        typer.Option(help="Write the model card to this file, and send nothing."),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Publish a checkpoint on the Hugging Face hub, with a model card written from its run.

    Log in before with `hf auth login`. See the card first with --card.

    Example: `fedseg push runs/first/global me/first`
    """
    from fedseg.cli import console
    from fedseg.files import check_new_file, write_text
    from fedseg.models.info import check_checkpoint

    if card and private:
        raise FedsegError("--private is for what is sent, and --card sends nothing; leave one out")
    trust_models(plugins)
    check_checkpoint(checkpoint)
    if card:
        check_new_file(card, "--card")
    from fedseg.models.publish import push
    from fedseg.report.model_card import model_card

    text = model_card(checkpoint, repository)
    if card:
        write_text(card, text)
        console.show(f"model card in {card}")
        return
    commit = push(checkpoint, repository, text, private)
    console.show(f"published: {commit}")
    console.show(f"use it as hf://{repository}")
