import numpy as np
import pytest
import torch

from fedseg.classes import ClassList
from fedseg.config import Evaluator, Model, Training
from fedseg.data.dataset import open_dataset
from fedseg.errors import FedsegError
from fedseg.evaluation.evaluate import evaluate
from fedseg.models import checkpoints
from fedseg.models.build import build
from fedseg.participants.evaluator import answered_score, parse_info, score_locally
from fedseg.participants.introduction import introduce, known_names
from tests.conftest import TINY_MODEL


@pytest.fixture
def evaluator(make_world):
    return Evaluator(name="city", dataset="folder", root=make_world("city"))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Model(**TINY_MODEL)
    return build(model).eval(), checkpoints.describe_model(model, Training(crop=(32, 64)))


def test_at_home_it_is_scored_as_anywhere(evaluator, model):
    network, info = model
    introduction = introduce(evaluator)
    assert (introduction.images, len(introduction.classes), introduction.problem) == (4, 19, "")
    confusion = score_locally(evaluator, info, network.state_dict(), lambda *_, **__: None)
    score = answered_score(confusion.ravel().tolist(), introduction, evaluator)
    here = evaluate(network, info, open_dataset(evaluator))
    assert score.confusion == here.confusion
    assert score.miou == here.miou
    assert score.images == here.images


def test_weights_are_checked_before_they_are_loaded(evaluator, model):
    network, info = model
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    weights["segmentation_head.0.bias"] += torch.nan
    with pytest.raises(FedsegError, match=r"model from the server: tensor .* holds NaN"):
        score_locally(evaluator, info, weights, lambda *_, **__: None)
    foreign = info.model_copy(update={"arch": "os.system"})
    with pytest.raises(FedsegError, match="no architecture"):
        score_locally(evaluator, foreign, weights, lambda *_, **__: None)
    with pytest.raises(FedsegError, match="malformed metadata"):
        parse_info("{}")


def test_an_evaluator_without_data_says_so(tmp_path):
    missing = Evaluator(name="city", dataset="folder", root=tmp_path / "nowhere")
    assert "no such folder" in introduce(missing).problem


@pytest.mark.parametrize("confusion", [[1] * 360, [-1] * 361, []])
def test_what_is_no_confusion_matrix_is_refused(evaluator, confusion):
    with pytest.raises(FedsegError, match="not a confusion matrix of 19 classes"):
        answered_score(confusion, introduce(evaluator), evaluator)


def test_nothing_but_counts_comes_back(evaluator, model):
    network, info = model
    confusion = score_locally(evaluator, info, network.state_dict(), lambda *_, **__: None)
    assert confusion.dtype == np.int64
    assert confusion.shape == (19, 19)
    assert confusion.sum() == 4 * 48 * 80


def test_names_of_a_card_that_are_in_the_list_are_told(evaluator):
    classes = ClassList(names=("drivable", "sky"), members={"drivable": ("road", "parking")})
    assert known_names([evaluator], classes) == ["road", "sky"]
    unreadable = evaluator.model_copy(update={"dataset": "nowhere.toml"})
    assert known_names([evaluator, unreadable], classes) is None


def test_long_names_of_classes_are_told_whole(make_world, tmp_path):
    """Overlapping classes of a card are scored as one, whose name is made up of all of theirs."""
    names = [f"{'a long name ' * 4}{n}" for n in range(4)]
    parts = [["road", "sky"], ["sidewalk"], ["wall"], ["fence"]]
    classes = ClassList(
        names=("ground", "rest"), members={"ground": ["road", "wall"], "rest": ["sky", "fence"]}
    )
    card = [
        f'[[classes]]\nname = "{name}"\nids = [{n}]\nmembers = {part}\n'
        for n, (name, part) in enumerate(zip(names, parts, strict=True))
    ]
    head = 'name = "mine"\ntitle = "Mine"\nkind = "real"\nimages = "images/*.png"\n'
    head += 'labels = "labels/*.png"\n[splits.all]\n'
    (tmp_path / "mine.toml").write_text(head + "".join(card))
    mine = Evaluator(name="city", dataset=str(tmp_path / "mine.toml"), root=make_world("city"))
    [told] = introduce(mine, classes=classes).classes
    assert len(told) > 100
