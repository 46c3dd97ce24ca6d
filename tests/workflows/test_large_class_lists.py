"""Federations of as many classes as ADE20K has, and of as many as a label can hold."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fedseg.classes import MOST_CLASSES
from fedseg.config import GLOBAL, Federation
from fedseg.data.dataset import open_dataset
from fedseg.method.baselines import ensemble
from fedseg.method.context import open_context
from fedseg.models import checkpoints
from fedseg.participants.client import packed_upload, train_client
from fedseg.participants.metadata import parse_upload
from fedseg.participants.uploads import check_sizes, store_upload
from fedseg.planning import preflight
from fedseg.report.write import conclude_run
from fedseg.run.folder import open_run
from fedseg.run.progress import silent
from fedseg.run.records import Score
from fedseg.run.result import gather_result
from fedseg.workflows.server import run_server
from tests.conftest import TINY_MODEL, TINY_TRAINING

HEAD = """
name = "many"
title = "Many"
kind = "synthetic"
images = "images/*.png"
labels = "labels/*.png"
[splits.all]
"""
CLASS = '[[classes]]\nname = "thing {0}"\nids = [{0}]\n'


def make_world(root, classes, seed):
    """Two pictures in cells of 4x4 pixels, in which each class has a cell at least."""
    rng = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for index in range(2):
        cells = rng.permutation(np.resize(np.arange(classes, dtype=np.uint8), 16 * 24))
        label = cells.reshape(16, 24).repeat(4, axis=0).repeat(4, axis=1)
        image = np.stack([label, 255 - label, label * 7], axis=-1)
        Image.fromarray(image).save(root / "images" / f"{index}.png")
        Image.fromarray(label).save(root / "labels" / f"{index}.png")
    return {"dataset": str(root.parent / "many.toml"), "root": str(root)}


@pytest.fixture(scope="module", params=[pytest.param(150, marks=pytest.mark.slow), MOST_CLASSES])
def completed(request, tmp_path_factory):
    """A federation over so many classes, and its run folder."""
    folder, count = tmp_path_factory.mktemp("many"), request.param
    (folder / "many.toml").write_text(HEAD + "".join(map(CLASS.format, range(count))))
    one, two, server, test = (make_world(folder / n, count, i) for i, n in enumerate("abcd"))
    distillation = {"fusion": "features"}
    federation = Federation.model_validate(
        {
            "classes": [f"thing {number}" for number in range(count)],
            "model": TINY_MODEL,
            "training": TINY_TRAINING,
            "clients": [{"name": "one", **one}, {"name": "two", **two}],
            "server": {
                **server,
                "distillation": distillation,
                "augmentation": {"generator": "mix", "images": 2, "unstable_classes": count},
            },
            "evaluation": [{"name": "test", **test}],
        }
    )
    assert not list(preflight.find_problems(federation, silent))
    run = open_run(folder / "run", federation)
    for client in federation.clients:
        home = train_client(client, 0, folder / client.name, silent)
        weights, upload = packed_upload(home)
        accepted = parse_upload(upload.model_dump_json(), client.name, federation.classes)
        check_sizes(accepted, client.training)
        store_upload(run, accepted, weights, client.model, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedseg.extras.gated_fusion.STEPS", 20)
        run_server(run, federation, silent)
    ensemble.make(open_context(run, federation, silent))
    result = gather_result(run, federation, "completed", {}, {})
    conclude_run(run, federation, result, silent)
    return SimpleNamespace(count=count, run=run, federation=federation, result=result)


def test_every_class_is_trained_and_scored(completed):
    last = completed.count - 1
    _, info = checkpoints.load(completed.run.global_model)
    assert info.coverage == tuple(range(completed.count))
    score = Score.read(completed.run.score(GLOBAL, "test"))
    assert np.array(score.confusion).shape == (completed.count, completed.count)
    files = open_dataset(completed.federation.evaluation[0]).labels
    labelled = sum((np.array(Image.open(path)) == last).sum() for path in files)
    assert sum(score.confusion[last]) == labelled > 0
    page = completed.run.report.read_text("utf-8")
    assert f"thing {last}" in page
    assert 50 <= page.count(" is taken for ") <= 50 * 50  # a cell for each pair would be too many
    assert f"The {completed.count - 50} rarest classes are left out" in page


def test_commands_take_the_model(completed, run_cli, tmp_path):
    chosen = completed.federation.evaluation[0]
    image = open_dataset(chosen).images[0]
    done = run_cli("predict", completed.run.global_model, image, "--out", tmp_path)
    assert done.returncode == 0, done.err
    predicted = np.asarray(Image.open(tmp_path / f"{image.stem}_trainId.png"))
    colours = np.asarray(Image.open(tmp_path / f"{image.stem}_color.png"))
    assert predicted.max() < completed.count
    table = completed.federation.classes.colour_table()[: completed.count]
    assert len(np.unique(table, axis=0)) == completed.count
    assert (colours == table[predicted]).all()
    where = ["--dataset", chosen.dataset, "--root", chosen.root]
    done = run_cli("evaluate", completed.run.global_model, *where)
    assert done.returncode == 0, done.err
