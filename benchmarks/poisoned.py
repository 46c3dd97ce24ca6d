"""What one poisoned client does to the global model, and whether it is found.

To the clients of a completed run one is added that is the first of them with its weights spoiled,
in each of three ways; the server's part is then done again, with the same settings.

    python benchmarks/poisoned.py RUN --out DIR
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from command import start
from torch import nn

from fedseg import config
from fedseg.classes import CITYSCAPES
from fedseg.cli import console
from fedseg.config import GLOBAL
from fedseg.models import checkpoints
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run, find_run
from fedseg.run.records import Inconsistency
from fedseg.run.result import scores
from fedseg.run.uploads import read_accepted
from fedseg.storage.hashes import content_hash
from fedseg.workflows.redistillation import redistill

NAME = "poisoned"


def main(
    run: Path,
    out: Annotated[Path, typer.Option(help="Folder for the runs with the poisoned client.")],
) -> None:
    """Print the global model's mIoU in % with and without the poisoned client, and the suspects."""
    original = find_run(run)
    federation = config.load(original.config)
    first = next(iter(good_clients(original, federation).values()))
    rows = [("none", run)]
    with console.Bars() as bars:
        for kind, spoil in SPOILED.items():
            bad = save_spoiled(first, out / f"client-{kind}", spoil)
            redistill(run, out / kind, joiners=[bad], progress=partial(bars, name=kind))
            rows.append((kind, out / kind))
    for kind, folder in rows:
        done = Run(folder)
        found = scores(done, federation)[GLOBAL]
        cells = ", ".join(f"{name} {100 * score.miou:.1f}" for name, score in found.items())
        record = Inconsistency.read(done.inconsistency)
        agreement = ", ".join(f"{name} {value:.2f}" for name, value in record.agreement.items())
        print(f"{kind}: global {cells}; agreement {agreement}; suspects {list(record.suspects)}")


def randomise(network: nn.Module) -> None:
    """Every parameter drawn at random."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape)


def permute(network: nn.Module) -> None:
    """Every class called by the name of another: what training on permuted labels comes to."""
    head = _head(network)
    order = torch.arange(len(CITYSCAPES)).roll(7)
    head.weight.data, head.bias.data = head.weight.data[order], head.bias.data[order]


def make_constant(network: nn.Module) -> None:
    """Class 0, road, everywhere."""
    _head(network).bias.data[0] += 1000


SPOILED = {"random": randomise, "permuted": permute, "constant": make_constant}


def _head(network: nn.Module) -> nn.Conv2d:
    return next(m for m in network.segmentation_head.modules() if isinstance(m, nn.Conv2d))


def save_spoiled(client: Path, folder: Path, spoil) -> Path:
    """A checkpoint folder as a client of its own would have uploaded it."""
    network, info = checkpoints.load(client)
    spoil(network)
    sha256 = content_hash(network.state_dict())
    upload = read_accepted(client)
    upload = upload.model_copy(update={"name": NAME, "sha256": sha256})
    checkpoints.save(folder, network, info, upload=upload.model_dump(mode="json"))
    return folder


if __name__ == "__main__":
    start(main)
