"""A federation over a class list of its own, from cards to report."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
from PIL import Image

import fedseg
from fedseg.classes import ClassList
from fedseg.config import GLOBAL, Federation
from fedseg.data.dataset import open_dataset
from fedseg.models import checkpoints
from fedseg.report.write import conclude_run
from fedseg.run.progress import silent
from fedseg.run.records import Inconsistency, Manifest
from fedseg.run.result import gather_result
from fedseg.workflows.server import run_server
from tests.conftest import make_world_in, train_and_upload, two_clients

NAMES = ("drivable", "vehicle", "nature", "sky", "lane marking")
CLASSES = {
    "names": list(NAMES),
    "colours": [[n, 0, 255 - n] for n in range(5)],
    "members": {"drivable": ["road"], "vehicle": ["car", "bus"], "nature": ["vegetation"]},
}
CARD = """
name = "mine"
title = "Mine"
kind = "synthetic"
images = "images/*.png"
labels = "labels/*.png"
ignore_ids = [8]
[splits.all]
[[classes]]
name = "asphalt"
ids = [0]
members = ["drivable"]
[[classes]]
name = "paint"
ids = [2]
members = ["lane marking"]
[[classes]]
name = "sky"
ids = [10]
[[classes]]
name = "bus"
ids = [13]
"""
TRAIN_ID_OF = {0: 0, 8: 2, 10: 3, 13: 1}  # of the set that is scored, whose card is Cityscapes'


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """The run folder of such a federation, and the file's content."""
    folder = tmp_path_factory.mktemp("classes")
    data = two_clients(folder)
    (folder / "mine.toml").write_text(CARD)
    data["classes"] = CLASSES
    data["clients"][1] = {
        "name": "two",
        "dataset": str(folder / "mine.toml"),
        "root": str(make_world_in(folder, "three", seed=7)),
    }
    data["server"]["augmentation"] = {"generator": "mix", "images": 4}
    data["server"]["distillation"] = {"fusion": "features"}
    federation = Federation.model_validate(data)
    run = train_and_upload(federation, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedseg.extras.gated_fusion.STEPS", 20)
        run_server(run, federation, silent)
    result = gather_result(run, federation, "completed", {}, {})
    conclude_run(run, federation, result, silent)
    return run, federation, result


def test_clients_know_different_parts_and_the_global_model_all(completed):
    run, _, result = completed
    assert result.clients["one"].coverage == [0, 1, 2, 3]
    assert result.clients["two"].coverage == [0, 1, 3, 4]
    _, info = checkpoints.load(run.global_model)
    assert info.coverage == (0, 1, 2, 3, 4)
    assert info.classes == ClassList.model_validate(CLASSES)


def test_smp_alone_opens_it(completed):
    run, _, _ = completed
    head = smp.from_pretrained(run.global_model).segmentation_head[0]
    assert head.out_channels == 5


def test_the_score_is_that_of_a_count_by_hand(completed):
    run, federation, result = completed
    [chosen] = federation.evaluation
    dataset = open_dataset(chosen)
    network, info = checkpoints.load(run.global_model)
    hit, union = np.zeros(5), np.zeros(5)
    for image, label in zip(dataset.images, dataset.labels, strict=True):
        predicted = fedseg.predict(network, info, image)
        ids = np.array(Image.open(label))
        true = np.vectorize(lambda i: TRAIN_ID_OF.get(i, 255))(ids)
        for c in range(5):
            is_predicted, is_true = (predicted == c) & (true != 255), true == c
            hit[c] += (is_predicted & is_true).sum()
            union[c] += (is_predicted | is_true).sum()
    score = result.evaluation[GLOBAL]["held-out"]
    expected = {n: h / u if u else None for n, h, u in zip(NAMES, hit, union, strict=True)}
    assert score.iou == pytest.approx(expected)


def test_records_and_report_name_its_classes(completed):
    run, _, _ = completed
    assert tuple(Inconsistency.read(run.inconsistency).inconsistency) == NAMES
    made = Manifest.read(run.generated / "manifest.json").images
    assert made
    assert {judgement.recipe.class_name for judgement in made} <= set(NAMES)
    page = (run.path / "report.html").read_text()
    assert "lane marking" in page
    assert "motorcycle" not in page
    assert "without lane marking" in page
    assert "#0000ff" in page  # the colour of the first class


def test_pictures_have_its_colours_and_any_command_takes_its_model(completed, run_cli, tmp_path):
    run, federation, _ = completed
    image = open_dataset(federation.server, labelled=False).images[0]
    done = run_cli("predict", run.global_model, image, "--out", tmp_path)
    assert done.returncode == 0
    label = np.asarray(Image.open(tmp_path / f"{image.stem}_trainId.png"))
    colours = np.asarray(Image.open(tmp_path / f"{image.stem}_color.png"))
    assert (colours == np.array(CLASSES["colours"])[label]).all()
    [chosen] = federation.evaluation
    where = ["--dataset", "folder", "--root", chosen.root]
    done = run_cli("evaluate", run.global_model, *where, "--json")
    assert done.returncode == 0
    assert "lane marking" in done.out
