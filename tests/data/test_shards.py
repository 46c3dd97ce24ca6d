"""Two Ray nodes on this machine, with a core each."""

import os
import shutil
import time
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from fedseg.config import Federation, Model, Protocol, Source, Training
from fedseg.data import shards
from fedseg.data.dataset import open_dataset
from fedseg.data.shards import BLOCK, join_cluster, sharded
from fedseg.errors import ModelError
from fedseg.evaluation.evaluate import evaluate, evaluate_stored
from fedseg.extras import gated_fusion as gated
from fedseg.method.context import open_context
from fedseg.method.pipeline import make_targets
from fedseg.method.teachers import predict_images, read_target
from fedseg.models import checkpoints
from fedseg.models.build import seeded_build
from fedseg.models.exported import open_here
from fedseg.run.folder import open_run
from fedseg.run.progress import silent
from fedseg.storage.arrays import read_array
from tests.conftest import TINY_MODEL

MANY = range(2 * BLOCK + 10)


@pytest.fixture(scope="module")
def cluster():
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    with join_cluster(made.address):
        yield made
    made.shutdown()


@pytest.fixture
def alone(monkeypatch):
    """Until its `undo` is called, there is no cluster. Torch has as many threads as a node."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(shards, "_machines", list)
    yield monkeypatch
    torch.set_num_threads(threads)


def here(items):
    """Each item, and the Ray node that sees it."""
    for item in items:
        yield item, ray.get_runtime_context().get_node_id()


def test_all_machines_share_the_work_and_results_come_in_order(cluster):
    items, nodes = zip(*sharded(here, MANY), strict=True)
    assert list(items) == list(MANY)
    assert len(set(nodes)) == 2
    assert all(len(set(nodes[n : n + BLOCK])) == 1 for n in MANY[::BLOCK])
    assert list(sharded(here, [])) == []


def test_relative_paths_mean_the_same_everywhere(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sharded(lambda items: (os.getcwd() for _ in items), MANY)
    assert set(found) == {str(tmp_path)}


def test_an_error_is_raised_as_it_was_and_leaves_no_work_behind(cluster):
    def fail(items):
        yield from items
        if MANY[-1] in items:
            raise ModelError("overflows")

    with pytest.raises(ModelError, match=r"^overflows$"):
        list(sharded(fail, MANY))
    assert [item for item, _ in sharded(here, MANY)] == list(MANY)


def test_who_works_for_the_cluster_does_not_hand_out_work(cluster):
    """A client that is simulated scores its model by itself."""

    def work(items):
        for _ in items:
            yield len({node for _, node in sharded(here, MANY)})

    assert set(sharded(work, MANY[::BLOCK])) == {1}


def test_labels_and_scores_are_the_same_to_the_bit(cluster, alone, make_world, tmp_path):
    root = make_world("server", count=len(MANY))
    dataset = open_dataset(Source(dataset="folder", root=root))
    info = checkpoints.describe_model(Model(**TINY_MODEL), Training(crop=(32, 64)))
    checkpoints.save(tmp_path / "client", seeded_build(info.model, 0), info)
    load, protocol = partial(open_here, tmp_path / "client"), Protocol(height=64)

    def made(folder):
        files = predict_images(tmp_path / "client", dataset, info, folder, silent, "labels")
        score = evaluate_stored(load, info, dataset, protocol)
        return np.stack([read_array(file) for file in files]), score

    labels, score = made(tmp_path / "alone")
    alone.undo()
    same_labels, same_score = made(tmp_path / "together")
    assert (labels == same_labels).all()
    assert score == same_score == evaluate(load(), info, dataset, protocol)


@pytest.mark.slow
def test_so_are_comparison_generated_images_and_fused_targets(
    cluster, alone, federation_data, make_world, trained, tmp_path
):
    root = make_world("many", count=len(MANY))
    federation_data["server"] = {
        "dataset": "folder",
        "root": str(root),
        "augmentation": {"generator": "mix", "images": 2 * BLOCK},
        "distillation": {"fusion": "features"},
    }
    federation = Federation.model_validate(federation_data)
    few_steps = patch.object(gated, "STEPS", 5)

    def made(name):
        run = open_run(tmp_path / name, federation)
        shutil.copytree(trained / "run" / "clients", run.clients, dirs_exist_ok=True)
        context = open_context(run, federation, silent)
        with few_steps:
            images, content = make_targets(context, run.targets, {"made": "of this"})
        generated = {file.name: file.read_bytes() for file in run.generated.glob("*.png")}
        count = range(len(images))
        targets = [read_target(run.targets, index).tobytes() for index in count]
        return content, generated, targets

    content, generated, targets = made("alone")
    alone.undo()
    assert made("together") == (content, generated, targets)
    assert len(generated) > BLOCK
    assert len(targets) > len(MANY)


@pytest.mark.slow
def test_a_lost_machine_s_part_is_done_by_another(cluster):
    node = cluster.add_node(num_cpus=1)

    def slow(items):
        time.sleep(1)
        yield from here(items)

    results = sharded(slow, range(6 * BLOCK))
    found = [next(results)]
    cluster.remove_node(node, allow_graceful=False)
    found += results
    assert [item for item, _ in found] == list(range(6 * BLOCK))
