import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fedseg.classes import CITYSCAPES, CLASSES
from fedseg.config import Augmentation
from fedseg.data.dataset import open_dataset
from fedseg.errors import RunFailed
from fedseg.method import targets
from fedseg.method.generation.candidates import Made
from fedseg.method.targets import Labelling, make_targets, predict_all, teachers_of, weights_of
from fedseg.method.teachers import read_target
from fedseg.models import checkpoints
from fedseg.run.clients import good_clients


@pytest.fixture
def labelling(run, federation):
    return Labelling(
        run=run,
        federation=federation,
        clients=good_clients(run, federation),
        student=checkpoints.load_info(run.clients / "one"),
        progress=lambda *_, **__: None,
    )


def spoil(folder: Path) -> None:
    """Make a client's model overflow, though its weights are finite."""
    network, info = checkpoints.load(folder)
    network.segmentation_head[0].weight.data *= 1e38
    checkpoints.save(folder, network, info)


def test_every_image_of_the_server_gets_a_target(labelling, tmp_path):
    images, content = make_targets(labelling, tmp_path / "targets", {"made": "of this"})
    assert images.images == open_dataset(labelling.federation.server, labelled=False).images
    targets = [read_target(tmp_path / "targets", index) for index in range(len(images))]
    assert {(target.shape[-1], target.dtype) for target in targets} == {(19, np.dtype(np.uint8))}
    # 255 stands for 1; a class that no client was trained on has no probability.
    known = [0, 2, 8, 9, 10, 13]
    unknown = [c for c in range(19) if c not in known]
    assert all(abs(t.sum(axis=-1, dtype=int) - 255).max() <= len(known) for t in targets)
    assert not any(target[..., unknown].any() for target in targets)
    assert content.clients == ["one", "two"]
    assert content == type(content).read(labelling.run.inconsistency)


def test_a_client_without_finite_output_is_no_teacher(labelling):
    spoil(labelling.clients["two"])
    teachers = teachers_of(labelling.clients)
    images = open_dataset(labelling.federation.server, labelled=False)
    assert [*predict_all(labelling, teachers, images)] == ["two"]
    assert list(teachers) == ["one"]
    assert teachers["one"].probabilities(0).shape[-1] == 19


def test_a_generator_is_gone_before_its_images_are_labelled(labelling, tmp_path, monkeypatch):
    """Its model and a client's may not fit on a GPU together."""
    alive = []

    class Painter:
        def __init__(self, *_):
            alive.append(weakref.ref(self))

        def makes(self, train_id):
            return True

        def make(self, train_id, rng):
            return Made(np.zeros((48, 80, 3), np.uint8), (0, 0, 1, 1), 1.0, {})

    seen = []
    predict = targets.predict_all

    def watched(*given):
        seen.append([ref() is not None for ref in alive])
        return predict(*given)

    monkeypatch.setattr(targets, "predict_all", watched)
    registry = SimpleNamespace(load=lambda name: Painter)
    monkeypatch.setattr(targets, "GENERATORS", registry)
    augmentation = Augmentation(generator="mix", images=2)
    server = labelling.federation.server.model_copy(update={"augmentation": augmentation})
    federation = labelling.federation.model_copy(update={"server": server})
    make_targets(replace(labelling, federation=federation), tmp_path / "targets", {})
    assert seen == [[], [False]]


def test_without_enough_teachers_nothing_is_written(labelling, tmp_path):
    spoil(labelling.clients["two"])
    with pytest.raises(RunFailed, match="the models of two give nothing"):
        make_targets(labelling, tmp_path / "targets", {})
    assert not (tmp_path / "targets").exists()
    assert not labelling.run.inconsistency.exists()


def test_a_generator_is_asked_for_the_most_unstable_classes_that_it_can_make():
    class Generator:
        def makes(self, train_id):
            return CLASSES[train_id] != "train"

    scores = {"road": 0.1, "train": 0.9, "rider": 0.8, "sky": 0.0, "fence": None, "bus": 0.5}
    wanted = weights_of(Generator(), scores, 2, CITYSCAPES)
    assert wanted == {CLASSES.index("rider"): 0.8, CLASSES.index("bus"): 0.5}
