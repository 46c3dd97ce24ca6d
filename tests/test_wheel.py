"""fedseg's wheel, with examples/plugins beside a federation file in an empty folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from PIL import Image

from tests.conftest import TINY_TRAINING, paint

REPOSITORY = Path(__file__).parents[1]
PLUGINS = REPOSITORY / "examples" / "plugins"
pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # a minute and a half


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what the wheel holds, and nothing that it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    [wheel] = (folder / "dist").iterdir()
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.fixture
def fedseg(installed, tmp_path):
    """Calls a command of the wheel in an empty folder: fedseg("data", "list") gives its output."""

    def call(*arguments):
        environment = os.environ | {"PYTHONPATH": str(installed)}
        command = [sys.executable, "-m", "fedseg", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def write_pairs(folder: Path, seed: int) -> dict:
    """Photos and masks as examples/plugins/pairs.py reads them."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for index in range(4):
        image, label = paint(rng, [0, 1, 2, 3, 5])
        Image.fromarray(image).save(folder / f"{index}.jpg", quality=95)
        Image.fromarray(label).save(folder / f"{index}_mask.png")
    return {"dataset": "pairs:Pairs", "root": folder.name}


def test_every_example_runs_from_the_wheel(fedseg, installed, tmp_path):
    for path in PLUGINS.glob("*.py"):
        shutil.copy(path, tmp_path)
    clients = [
        {"name": name, "trainer": "fedprox:train", **write_pairs(tmp_path / name, seed)}
        for seed, name in enumerate(("one", "two"))
    ]
    federation = {
        "model": {"arch": "lraspp:build", "encoder_weights": "none"},
        "training": TINY_TRAINING | {"loss": "focal:focal_loss"},
        "clients": clients,
        "server": {
            **write_pairs(tmp_path / "server", 2),
            "augmentation": {"generator": "night:Night", "images": 2},
            "distillation": {"fusion": "maximum:write_targets"},
        },
        "evaluation": [write_pairs(tmp_path / "scored", 3)],
        "tracking": {"trackers": ["printed:Printed"]},
    }
    (tmp_path / "own.toml").write_text(tomli_w.dumps(federation))
    where = [sys.executable, "-c", "import fedseg; print(fedseg.__file__)"]
    found = subprocess.run(
        where, cwd=tmp_path, env={"PYTHONPATH": str(installed)}, capture_output=True, text=True
    )
    assert found.stdout.startswith(str(installed))
    fedseg("simulate", "own.toml", "--out", "run", "--quiet")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "completed"
    assert {client["arch"] for client in result["clients"].values()} == {"lraspp:build"}
    made = json.loads((tmp_path / "run" / "global" / "made_from.json").read_text())["made_from"]
    named = {Path(name).name for name in made["plugins"]}
    assert named == {"maximum.py:write_targets", "night.py:Night"}
    kept = (tmp_path / "run" / "global" / "model.safetensors").stat().st_mtime_ns
    fedseg("simulate", "own.toml", "--out", "run", "--quiet")
    assert (tmp_path / "run" / "global" / "model.safetensors").stat().st_mtime_ns == kept
    fedseg("compare", "run", "--baseline", "largest:make", "--quiet")
    assert (tmp_path / "run" / "evaluation" / "largest@pairs.json").is_file()
    score = ("evaluate", "run/global", "--dataset", "pairs:Pairs", "--root", "scored", "--json")
    scored = json.loads(fedseg(*score, "--plugin", "lraspp:build", "--quiet"))
    assert "pairs:Pairs" in json.dumps(scored)
