"""The files in examples/: they parse, cards and splits are there, models can be built."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import tomli_w
import yaml

from fedseg import config
from fedseg.data.cards import load_card
from fedseg.data.label_map import LabelMap
from fedseg.files import EMBEDDED, app_dir, read_json
from fedseg.models.build import check_size
from fedseg.participants.node import Node, load_node, train_task
from fedseg.planning.stages import trainings
from tests.commands import parse

CLUSTER = Path(__file__).parents[1] / "examples" / "cluster"
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
"""A stand-in of Slurm's, on one machine."""
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))
KINDS = {"suite": config.Suite, "node": Node}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_valid_down_to_splits_and_models(path):
    kind = KINDS.get(path.stem, config.Federation)
    content = config.load(path, kind)
    sources = [content] if kind is Node else list(content.evaluation)
    if kind is config.Federation:
        sources += [*content.clients, *content.evaluators, content.server]
        for client in content.clients:
            if client.dataset:
                LabelMap(load_card(client.dataset), content.classes).train_ids()
        for stage in trainings(content):
            training = stage.training
            check_size(stage.model, training.crop, training.batch_size)
    for source in filter(lambda source: source.dataset, sources):
        load_card(source.dataset).split(source.split)


def test_the_settings_they_are_named_for():
    paper = config.load(_path("paper"))
    assert {c.dataset for c in paper.clients} == {"gta5", "synthia", "urbansyn", "synscapes"}
    assert {e.name for e in paper.evaluation} == {
        "Cityscapes",
        "BDD100K",
        "Mapillary",
        "IDD",
        "ACDC",
    }
    # Labels, student and scores are of one size, but for BDD100K, whose images are lower.
    heights = [paper.server.labelling.height, *(e.protocol.height for e in paper.evaluation)]
    assert heights == ["model", "model", 720, "model", "model", "model"]
    trainings = [paper.server.distillation.training, *(client.training for client in paper.clients)]
    assert {training.inference_height for training in trainings} == {1024}
    assert paper.server.dataset not in {e.dataset for e in paper.evaluation}
    apart = config.load(_path("heterogeneous"))
    assert len({(c.model.arch, c.model.encoder) for c in apart.clients}) == len(apart.clients)
    assert _path("embedded") == EMBEDDED


def test_a_deployed_federation_knows_names_only_and_a_node_the_rest():
    deployed = config.load(_path("deployed"))
    everyone = [*deployed.clients, *deployed.evaluators]
    assert not any(participant.dataset or participant.root for participant in everyone)
    node = load_node(_path("node").parent)
    [client] = [client for client in deployed.clients if client.name == node.name]
    trained = node.client(train_task(client, 0, 60.0))
    assert (trained.dataset, trained.training.iterations) == ("gta5", 20000)  # below its limit
    assert trained.training.threads <= 4


def _path(stem: str) -> Path:
    return next(path for path in EXAMPLES if path.stem == stem)


def test_the_notebook_runs(finished):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(app_dir() / "examples" / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    [place] = [cell for cell in notebook.cells if "FEDERATION = EMBEDDED" in cell.source]
    place.source = place.source.replace("= EMBEDDED", '= "federation.toml"')
    resources = {"metadata": {"path": str(finished)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"text/html", "image/png"} <= kinds
    assert (finished / "runs" / "embedded-without-one" / "result.json").is_file()


def test_the_kubernetes_file_is_of_the_installed_versions():
    cluster, job = yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text("utf-8"))
    assert cluster["spec"]["rayVersion"] == version("ray")
    [container] = job["spec"]["template"]["spec"]["containers"]
    *_, command = container["args"][0].strip().splitlines()
    assert command.startswith("exec fedseg ")
    parse(command.removeprefix("exec "))


@pytest.mark.slow
@pytest.mark.e2e
def test_the_slurm_script_runs_a_federation_on_two_nodes(federation_data, tmp_path):
    (tmp_path / "f.toml").write_text(tomli_w.dumps(federation_data))
    (tmp_path / "srun").write_text(SRUN)
    (tmp_path / "srun").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    slurm = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NUM_NODES": "2"}
    done = subprocess.run(
        ["bash", CLUSTER / "slurm.sh", "f.toml", "run"],
        cwd=tmp_path,
        env=os.environ | slurm | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "run" / "result.json")["status"] == "completed"
