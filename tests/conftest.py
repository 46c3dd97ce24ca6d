"""What the tests share: a miniature world on disk, and a cache that is not the user's."""

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

# Threads that spin while they wait slow everything down on a machine that does other things too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:  # the cores are shared among the workers
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import tomli_w
from PIL import Image

from fedseg.cli import main
from fedseg.config import Federation, load, read_toml
from fedseg.data.cards import load_card
from fedseg.files import EMBEDDED
from fedseg.participants.client import pack, train_client
from fedseg.participants.uploads import store
from fedseg.planning.sources import update_sources
from fedseg.run.folder import Run, open_run
from fedseg.run.progress import FileProgress
from fedseg.run.result import gather_result
from fedseg.training.callbacks import WriteCurve
from fedseg.workflows.server import run_server

TINY_MODEL = {"arch": "fpn", "encoder": "tu-lcnet_050", "encoder_weights": "none"}
TINY_TRAINING = {"iterations": 3, "batch_size": 2, "crop": [32, 64]}
LOOSE_MINIMA = "\n[minima]\niterations = 1\nbatch_size = 2\nimages = 1\ncrop = 32\n"
"""What the owner of a node says so that such a training is allowed."""


def pytest_collection_modifyitems(items):
    """The longest files first, or the last one would keep one of two workers waiting."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def within_a_run(monkeypatch):
    """Flower makes messages only within a run."""
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture
def run_cli(monkeypatch, capfd):
    """Calls a command: run_cli("predict", ...) gives its exit status, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fedseg", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main.main()
        return SimpleNamespace(returncode=stopped.value.code or 0, **capfd.readouterr()._asdict())

    return call


def paint(rng: np.random.Generator, classes: list[int], size=(48, 80)):
    """A picture of horizontal stripes, each of one class and of that class's shade."""
    rows = np.linspace(0, len(classes), size[0], endpoint=False).astype(int)
    order = rng.permutation(classes)
    label = np.repeat(order[rows][:, None], size[1], axis=1).astype(np.uint8)
    level = label.astype(int)
    shade = np.stack([level * 13, 255 - level * 13, (level * 71) % 256], axis=-1)
    noise = rng.integers(-8, 9, shade.shape)
    return np.clip(shade + noise, 0, 255).astype(np.uint8), label


def make_world_in(folder: Path, name: str, classes=(0, 2, 8, 10, 13), count=4, seed=0) -> Path:
    """A folder of images/ and labels/ in trainIds."""
    root = folder / name
    rng = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for index in range(count):
        image, label = paint(rng, list(classes))
        Image.fromarray(image).save(root / "images" / f"{index}.png")
        Image.fromarray(label).save(root / "labels" / f"{index}.png")
    return root


@pytest.fixture
def make_world(tmp_path):
    """Makes a folder of images/ and labels/ in trainIds: make_world(name, classes, count)."""
    return partial(make_world_in, tmp_path)


def two_clients(folder: Path) -> dict:
    """The content of a federation file over two miniature clients, whose worlds it makes."""
    one = make_world_in(folder, "one", (0, 2, 8, 10, 13), seed=1)
    two = make_world_in(folder, "two", (0, 2, 9, 10, 13), seed=2)
    server = make_world_in(folder, "server", seed=3)
    held_out = make_world_in(folder, "held-out", seed=4)
    return {
        "seed": 3,
        "model": dict(TINY_MODEL),
        "training": dict(TINY_TRAINING),
        "clients": [
            {"name": "one", "dataset": "folder", "root": str(one)},
            {"name": "two", "dataset": "folder", "root": str(two)},
        ],
        "server": {"dataset": "folder", "root": str(server)},
        "evaluation": [{"name": "held-out", "dataset": "folder", "root": str(held_out)}],
    }


@pytest.fixture
def federation_data(tmp_path):
    """The content of a federation file over two miniature clients."""
    return two_clients(tmp_path)


@pytest.fixture
def federation(federation_data) -> Federation:
    """The same, checked."""
    return Federation.model_validate(federation_data)


def train_and_upload(federation: Federation, folder: Path, out: Path | None = None) -> Run:
    """A run folder with every client's upload in it."""
    run = open_run(out or folder / "run", federation)
    for client in federation.clients:
        notify = FileProgress(run.progress, client.name)
        home = train_client(
            client, 0, folder / client.name, notify, [WriteCurve(run.curve(client.name))]
        )
        weights, upload = pack(
            home,
        )
        store(run, upload, weights, client.model, seed=0)
    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The two miniature worlds with their clients' checkpoints, and run/; for others to copy."""
    folder = tmp_path_factory.mktemp("trained")
    train_and_upload(Federation.model_validate(two_clients(folder)), folder)
    return folder


@pytest.fixture
def run(federation, tmp_path, trained):
    """A run folder with both clients' uploads in it, and beside it what `train_client` left."""
    run = open_run(tmp_path / "run", federation)
    shutil.copytree(
        trained, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(run.config.name)
    )
    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A folder that looks like after `fedseg simulate`, with miniatures of the embedded data.

    It holds federation.toml, data/, runs/embedded/ and photo.jpg. Tests may add to it.
    """
    world = tmp_path_factory.mktemp("finished")
    for seed, style in enumerate(load_card("streetsim").splits):
        make_world_in(world / "data", style, seed=seed)
    data = read_toml(EMBEDDED)
    data["evaluation"] = data["evaluation"][-1:]  # stormnight alone
    data |= {"model": TINY_MODEL, "training": TINY_TRAINING}
    data["server"]["distillation"] = {"training": {"iterations": 3}}
    for source in [*data["clients"], data["server"], *data["evaluation"]]:
        style = source.pop("split")
        source |= {"dataset": "folder", "root": f"data/{style}"}
    (world / "federation.toml").write_text(tomli_w.dumps(data))
    federation = load(world / "federation.toml")
    folder = world / "runs" / "embedded"
    update_sources(open_run(folder, federation), federation)
    run = train_and_upload(federation, world, folder)
    seconds = run_server(run, federation, FileProgress(run.progress, "server"))
    gather_result(run, federation, "completed", {}, seconds).write(run.result)
    Image.open(world / "data" / "stormnight" / "images" / "0.png").save(world / "photo.jpg")
    return world
