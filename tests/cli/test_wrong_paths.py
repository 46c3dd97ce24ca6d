"""A wrong path or name is found at once: one line, and neither torch, Ray nor Flower is imported.

One process runs all of the commands, without these libraries.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedseg import config
from fedseg.deployment import keys
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.identity import make_node
from fedseg.models.info import Info
from fedseg.run.folder import open_run
from tests.commands import COMMANDS, find
from tests.conftest import make_world_in, two_clients

WITHOUT_LIBRARIES = """
import contextlib, io, json, os, sys
for library in ("torch", "ray", "flwr"):
    sys.modules[library] = None
from fedseg.cli.main import main
may = os.access  # root may write everywhere
os.access = lambda path, mode: "locked" not in str(path) and may(path, mode)
answers = []
for words in json.load(sys.stdin):
    sys.argv, status = ["fedseg", *words], 0
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code
        except BaseException as error:
            status = repr(error)
    answers.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""


class Case(NamedTuple):
    command: str
    parameter: str
    line: str
    """What is typed after `fedseg COMMAND`."""
    expected: str


NO_FILE, NO_FOLDER, IS_FILE = "no such file", "no such folder", "file: is a file"
NO_RUN, NO_MODEL = "no run folder", "no such checkpoint folder"
LOCKED, IS_FOLDER = "locked: may not be written to", "world: is a folder"
OWNER = "--certs certs"


def outputs(command: str, parameter: str, line: str, ending: str = "") -> list[Case]:
    """Places that can't be written to: below a file, or where nobody may write."""
    return [
        Case(command, parameter, line.format(f"file/below{ending}"), IS_FILE),
        Case(command, parameter, line.format(f"locked/out{ending}"), LOCKED),
    ]


def folders(command: str, parameter: str, line: str) -> list[Case]:
    """The same, and a file where a folder is wanted."""
    line = line if "{}" in line else f"{line} --{parameter} {{}}"
    return [*outputs(command, parameter, line), Case(command, parameter, line.format("file"), "is")]


SETS = "--dataset folder --root world"
NODE = "--name n --role trainer --server localhost:9092 --dataset"
CASES = [
    Case("simulate", "config", "no.toml", NO_FILE),
    Case("simulate", "config", "world", "is no file"),
    *folders("simulate", "out", "federation.toml"),
    Case("simulate", "out", "federation.toml --out world", "is not empty and holds no run"),
    Case("simulate", "set", "--set model.encoder=resnet19", "global model: no encoder 'resnet19'"),
    Case("simulate", "set", "--set model.arch=fpm", "no architecture 'fpm'; did you mean 'fpn'"),
    Case("simulate", "set", "--set server.root=no", f"server: .*/no: {NO_FOLDER}"),
    Case("simulate", "set", "--set server.split=harbor", "streetsim: the card has no split"),
    Case("simulate", "set", "--set server.dataset=camvdi", "server: no dataset card 'camvdi'"),
    Case("simulate", "set", "--set model.encoder_weights=no.safetensors", f"weights: .*{NO_FILE}"),
    Case("simulate", "ray_address", "--ray-address localhost:1", "no Ray cluster can be joined"),
    Case("check", "config", "no.toml", NO_FILE),
    *folders("check", "out", "federation.toml"),
    Case("check", "ray_address", "--ray-address localhost:1", "no Ray cluster can be joined"),
    Case("check", "set", "--set model.encoder=resnet19", "no encoder 'resnet19'"),
    Case("check", "set", "--set evaluation.stormnight.root=no", f"'stormnight': .*{NO_FOLDER}"),
    Case("audit", "path", "no", "no"),
    Case("distill", "run", "no", NO_RUN),
    Case("distill", "run", "run", "no client is left"),
    Case("distill", "late", "run --with no", "no client's checkpoint folder"),
    Case("distill", "without", "run --without oen", "holds no client 'oen'"),
    Case("distill", "set", "run --set model.encoder=resnet19", "no encoder 'resnet19'"),
    Case("distill", "set", "run --set server.root=no", f"server: .*{NO_FOLDER}"),
    *folders("distill", "out", "run"),
    Case("distill", "ray_address", "run --ray-address localhost:x", "no Ray cluster can be joined"),
    Case("compare", "ray_address", "run --ray-address localhost:1", "no Ray cluster can be joined"),
    Case("runs", "folder", "no", NO_FOLDER),
    Case("report", "runs", "no", NO_RUN),
    Case("report", "runs", "run no", NO_RUN),
    Case("report", "runs", "half", "has not ended"),
    *outputs("report", "out", "run --out {}", ".html"),
    Case("report", "out", "run --out world", IS_FOLDER),
    Case("report", "runs", "no --watch", NO_RUN),
    Case("compare", "runs", "no", "no"),
    *folders("compare", "out", "run"),
    *folders("deploy certs", "folder", "--host localhost {}"),
    Case("deploy run", "config", f"no.toml {OWNER}", NO_FILE),
    Case("deploy run", "certs", "federation.toml --certs no", "no/ca.crt: No such file"),
    Case("deploy run", "certs", "federation.toml --certs node", "admin.token: No such file"),
    Case("deploy run", "address", f"federation.toml {OWNER} --server host", "is not HOST:PORT"),
    *folders("deploy run", "out", f"federation.toml {OWNER}"),
    Case("evaluate", "checkpoint", f"no {SETS}", NO_MODEL),
    Case("evaluate", "checkpoint", f"world {SETS}", "not a checkpoint folder"),
    Case("evaluate", "checkpoint", f"no.onnx {SETS}", NO_FILE),
    Case("evaluate", "root", "model --dataset folder --root no", NO_FOLDER),
    Case("evaluate", "dataset", "model --dataset fodler --root world", "no dataset card 'fodler'"),
    Case("evaluate", "split", f"model {SETS} --split tran", "the card has no split 'tran'"),
    Case("evaluate", "suite", "model --suite no.toml", NO_FILE),
    *folders("evaluate", "out", f"model {SETS}"),
    Case("evaluate", "ray_address", f"model {SETS} --ray-address localhost:1", "no Ray cluster"),
    Case("predict", "checkpoint", "no photo.jpg --out new", NO_MODEL),
    Case("predict", "checkpoint", "file.pt photo.jpg --out new", NO_FILE),
    Case("predict", "pictures", "model no.jpg --out new", "no such file or folder"),
    Case("predict", "pictures", "model empty --out new", "no image in this folder"),
    *folders("predict", "out", "model world/images"),
    Case("export", "checkpoint", "no --out model.onnx", NO_MODEL),
    Case("export", "format", "model --out model.bin", "ends with .onnx"),
    *outputs("export", "out", "model --out {}", ".onnx"),
    Case("push", "checkpoint", "no me/it", NO_MODEL),
    *outputs("push", "card", "model me/it --card {}", ".md"),
    Case("push", "card", "model me/it --card world", IS_FOLDER),
    Case("data list", "card", "camvdi", "no dataset card 'camvdi'"),
    Case("data check", "root", "folder no", NO_FOLDER),
    Case("data check", "card", "no.toml world", NO_FILE),
    Case("data check", "split", "folder world --split tran", "the card has no split 'tran'"),
    Case("data check", "classes", "folder world --classes no.toml", NO_FILE),
    *outputs("data check", "sheet", "streetsim --split suburb --sheet {}", ".png"),
    Case("data check", "sheet", "streetsim --split suburb --sheet a.gif", "not the name of an im"),
    Case("data check", "sheet", "streetsim --sheet a.png", "no split chosen"),
    Case("deploy init", "certs", f"new {NODE} folder --certs no", "no/ca.crt: No such file"),
    Case("deploy init", "certs", f"new {NODE} folder --certs node", "app.pub: No such file"),
    Case("deploy init", "dataset", f"new {NODE} fodler {OWNER}", "no dataset card 'fodler'"),
    Case("deploy init", "split", f"new {NODE} camvid --split vla {OWNER}", "no split 'vla'"),
    *folders("deploy init", "folder", f"{{}} {NODE} folder {OWNER}"),
    Case("deploy node", "folder", "no", NO_FILE),
    Case("deploy node", "folder", "no --check", NO_FILE),
    Case("deploy server", "certs", "--certs no --state new", NO_FILE),
    *folders("deploy server", "state", "--certs certs --state {}"),
    Case("deploy nodes", "add", f"--add n no.pub {OWNER}", "no.pub: No such file"),
    Case("deploy nodes", "certs", "--certs no", "no/ca.crt: No such file"),
    Case("deploy nodes", "certs", "--add n node/node.pub --certs node", "admin.token: No such"),
    Case("deploy nodes", "certs", "--remove n --certs no", "no/ca.crt: No such file"),
    *folders("deploy sign", "folder", "{}"),
]
LATER = {("deploy init", "root")}
"""May be mounted where the node runs; `fedseg deploy node --check` looks."""


def make_checkpoint(folder: Path) -> None:
    """A folder that is taken for a checkpoint as long as nobody opens its weights."""
    info = Info(
        arch="fpn",
        encoder="resnet18",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        crop=(32, 64),
        inference_height=32,
    )
    folder.mkdir()
    (folder / "fedseg.json").write_text(info.model_dump_json())
    (folder / "model.safetensors").touch()


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Exit status, output and errors of each case."""
    world = tmp_path_factory.mktemp("world")
    (world / "federation.toml").write_text(tomli_w.dumps(two_clients(world)))
    make_world_in(world, "world")
    (world / "file").touch()
    (world / "locked").mkdir()
    (world / "empty").mkdir()
    make_checkpoint(world / "model")
    federation = config.load(world / "federation.toml")
    open_run(world / "half", federation)
    open_run(world / "run", federation).result.write_text("{}")
    make_certificates(world / "certs", ["localhost"])
    keys.write_public(world / "certs" / "app.pub", Ed25519PrivateKey.generate().public_key())
    (world / "certs" / "app.signed").touch()
    settings = {"name": "n", "role": "trainer", "dataset": "folder", "server": "localhost:9092"}
    make_node(world / "node", settings, world / "certs")
    before = sorted(world.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARIES],
        input=json.dumps([[*case.command.split(), *case.line.split()] for case in CASES]),
        capture_output=True,
        text=True,
        cwd=world,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(world.rglob("*")) == before
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.command} {case.line}")
def test_wrong_paths_are_found_without_torch(answers, case):
    status, out, err = answers[case]
    assert status == 2, err
    if case.command == "check" and not err:  # it lists all problems
        assert out.startswith("problem: ")
        err = out
    else:
        assert err.startswith("error: ")
    if "--check" in case.line:  # a line for each thing that it looks at
        assert out.startswith("✗ ")
        err = f"{out}{err}"
    else:
        assert len(err.splitlines()) == 1
    assert re.search(case.expected, err), err


def test_every_path_has_a_wrong_one():
    paths = {
        (" ".join(command), parameter.name)
        for command in COMMANDS
        for parameter in find(command).params
        if "Path" in type(parameter.type).__name__
    }
    assert paths - LATER <= {(case.command, case.parameter) for case in CASES}
