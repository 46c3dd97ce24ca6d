"""What differential privacy costs a client in mIoU.

One client of a federation is trained as it is, with group normalisation, and with differential
privacy at several epsilons, and each model is scored on the federation's evaluation sets.

    python benchmarks/privacy.py CONFIG CLIENT --out DIR --epsilon 8 --epsilon 50
"""

import statistics
from pathlib import Path
from typing import Annotated

import typer
from command import start

from fedseg import config
from fedseg.config import Privacy
from fedseg.data.dataset import open_dataset
from fedseg.evaluation.evaluate import evaluate
from fedseg.models import checkpoints
from fedseg.participants.client import train_client
from fedseg.run.progress import FileProgress
from fedseg.run.uploads import read_upload


def main(
    file: Annotated[Path, typer.Argument(help="Federation file.", metavar="CONFIG")],
    name: Annotated[str, typer.Argument(help="The client.", metavar="CLIENT")],
    out: Annotated[Path, typer.Option(help="Folder for the models.")],
    epsilon: Annotated[list[float], typer.Option(help="Budgets.")],
    delta: Annotated[float, typer.Option(help="Of each budget.")] = 1e-4,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
) -> None:
    """Print mean and standard deviation over seeds of the mIoU in %."""
    federation = config.load(file)
    client = next(client for client in federation.clients if client.name == name)
    group = client.model.model_copy(update={"norm": "group"})
    ways = {
        "not private": client,
        "group normalisation": client.model_copy(update={"model": group}),
    }
    for value in epsilon:
        privacy = Privacy(epsilon=value, delta=delta)
        ways[f"epsilon = {value:g}"] = client.model_copy(update={"privacy": privacy})
    for way, chosen in ways.items():
        scores: dict[str, list[float]] = {}
        spent = None
        for seed in range(seeds):
            progress = FileProgress(out / "progress", f"{way}, seed {seed}")
            home = out / way.replace(" ", "-") / str(seed)
            folder = train_client(chosen, seed, home, progress)
            spent = read_upload(folder).epsilon
            network, info = checkpoints.load(folder)
            for source in federation.evaluation:
                score = evaluate(network, info, open_dataset(source), source.protocol, progress)
                scores.setdefault(source.name, []).append(100 * score.miou)
        cells = ", ".join(
            f"{name} {statistics.mean(values):.1f} ± {statistics.pstdev(values):.1f}"
            for name, values in scores.items()
        )
        print(f"{way}: {cells}" + (f"; epsilon spent {spent:.2f}" if spent else ""), flush=True)


if __name__ == "__main__":
    start(main)
