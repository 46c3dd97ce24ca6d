"""What each part of the method is worth: the same clients, distilled in several ways.

Clients are trained once a seed; every variant distills these same clients, for as many iterations,
from the same start. Interrupted, the same command goes on where it was.

    python benchmarks/ablation.py CONFIG --out DIR [--seed 0 --seed 1] [--crop 96 128]
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from command import start

from fedseg import config
from fedseg.cli import console
from fedseg.cli.tables import rich_table
from fedseg.config import GLOBAL, Federation, shared_sets
from fedseg.errors import FedsegError, did_you_mean
from fedseg.files import digest, write_text
from fedseg.method.baselines import centralized
from fedseg.method.context import Context, open_context
from fedseg.method.scoring import score_models
from fedseg.method.votes import keep, missing_sites
from fedseg.models.checkpoints import StoredWeights, load_info
from fedseg.participants.answers import MOST_IMAGES
from fedseg.participants.client import train_client
from fedseg.participants.evaluator import score_at_home
from fedseg.participants.node import simulated_node
from fedseg.participants.uploads import store
from fedseg.registry import BASELINES
from fedseg.run.folder import Run, open_run
from fedseg.run.result import gather_result, scores
from fedseg.run.uploads import read_upload
from fedseg.workflows import comparison
from fedseg.workflows.server import run_server

MEAN = {"class_balance": 0.0, "temperature": 1.0}
FEATURES = {"fusion": "features"}
VARIANTS: dict[str, dict[str, Any]] = {
    "class-aware mean": {"distillation": MEAN},
    "+ class balance": {"distillation": {"temperature": 1.0}},
    "+ sharpening": {},
    "+ feature fusion": {"distillation": FEATURES},
    "+ mix": {"augmentation": {"generator": "mix"}},
    "+ cross-site evaluation": {"cross_site_evaluation": True},
    "all": {
        "distillation": FEATURES,
        "augmentation": {"generator": "mix"},
    },
}
"""The first three build up to "+ sharpening"; each of the others adds one part to that."""

BASE = "+ sharpening"
"""The variant whose run folder holds the clients and the baselines."""

LONG = "centralized training, as many steps as all together"
"""The other row has as many steps as one client; with this many, it is not too short."""


def main(
    federation: Path,
    out: Annotated[Path, typer.Option(help="Folder for the runs and the tables.")],
    seed: Annotated[list[int], typer.Option(help="Give several times.")] = [0, 1, 2],  # noqa: B006
    crop: tuple[int, int] = (96, 128),
    iterations: Annotated[int, typer.Option(help="Of every training and distillation.")] = 200,
    only: Annotated[list[str], typer.Option(help="Variants to run; default: all.")] = [],  # noqa: B006
    clients: Annotated[Path | None, typer.Option(help="Another OUT, for its clients.")] = None,
) -> None:
    """Train, distill, score and print."""
    known = [*VARIANTS, LONG]
    for name in only:
        if name not in known:
            raise FedsegError(f"--only: no variant '{name}'; {did_you_mean(name, known)}")
    settings = {"iterations": iterations, "crop": crop}
    found: list[dict[str, Any]] = []
    with console.Bars() as bars:
        for number in seed:
            base = config.with_seed(shortened(config.load(federation), settings), number)
            notify = partial(bars, name=f"seed {number}")
            home = out / f"seed{number}"
            trained = train_clients(base, (clients or out) / home.name, notify)
            rows: dict[str, Any] = {}
            for name in [name for name in VARIANTS if not only or name in only]:
                variant = varied(base, VARIANTS[name])
                run = distilled(variant, home / name.strip("+ "), trained, notify)
                score = scores(run, config.load(run.config))
                rows |= {name: score.pop(GLOBAL)} | ({} if name != BASE else score)
            if not only or LONG in only:
                rows[LONG] = long_centralized(base, home / "centralized", notify)
            found.append(rows)
            sets = shared_sets([base])
            names = [client.name for client in base.clients]
            table = comparison.mean_over_runs(found, [*names, *BASELINES, LONG, *VARIANTS], sets)
            write_text(out / "table.md", table.markdown())
            console.show(rich_table(table))


def shortened(federation: Federation, settings: dict[str, Any]) -> Federation:
    """The federation with all its trainings at another length and size."""
    data = federation.model_dump()
    for owner in [data["server"]["distillation"], *data["clients"]]:
        owner["training"] |= settings
    return Federation.model_validate(data)


def varied(federation: Federation, change: dict[str, Any]) -> Federation:
    """The federation with some keys changed, its own or in tables of its server."""
    data = federation.model_dump()
    for key, value in change.items():
        if key in data:
            data[key] = value
        else:
            data["server"][key] |= value
    return Federation.model_validate(data)


def train_clients(federation: Federation, home: Path, progress) -> list[Path]:
    """Checkpoint folders of the clients, trained one after another."""
    return [
        train_client(client, federation.seed, home / "clients" / client.name, progress)
        for client in federation.clients
    ]


def distilled(federation: Federation, folder: Path, clients: list[Path], progress) -> Run:
    """A completed run of these clients; the base one with all baselines."""
    run = open_run(folder, federation)
    if not run.predictions.exists():
        # What the clients say of the server's images is the same for all, unless shown otherwise.
        shared = folder.parent / "predictions" / digest(federation.server.labelling)
        shared.mkdir(parents=True, exist_ok=True)
        run.predictions.symlink_to(shared.absolute())
    for checkpoint in clients:
        upload = read_upload(checkpoint)
        if not (run.clients / upload.name).is_dir():
            store(run, upload, StoredWeights(checkpoint))
    if federation.cross_site_evaluation:
        cross_site_evaluate(run, federation, progress)
    run_server(run, federation, progress)
    gather_result(run, federation, "completed", {}, {}).write(run.result)
    if folder.name == BASE.strip("+ "):
        comparison.compare([folder], progress)
    return run


def long_centralized(federation: Federation, folder: Path, progress) -> dict[str, Any]:
    """Scores of a model trained on all data, for as long as all clients and the distillation."""
    steps = federation.server.distillation.training.iterations + sum(
        client.training.iterations for client in federation.clients
    )
    training = federation.server.distillation.training.model_copy(update={"iterations": steps})
    longer = varied(federation, {"distillation": {"training": training.model_dump()}})
    run = open_run(folder, longer)
    context = Context(run=run, federation=longer, clients={}, progress=progress)
    centralized.make(context)
    score_models(context)
    return scores(run, longer)["centralized"]


def cross_site_evaluate(run: Run, federation: Federation, progress) -> None:
    """What the clients' nodes would do: score each other's models on their own data."""
    homes = {c.name: simulated_node(c, run.state).evaluator() for c in federation.clients}
    for name, folder in open_context(run, federation, progress).clients.items():
        info = load_info(folder)
        weights = StoredWeights(folder)
        for site in missing_sites(run, name, list(homes)):
            found = score_at_home(homes[site], info, weights, progress, MOST_IMAGES)
            keep(run, name, site, found.ravel().tolist(), federation.classes)


if __name__ == "__main__":
    start(main)
