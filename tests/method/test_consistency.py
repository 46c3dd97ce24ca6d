import numpy as np
import pytest
import torch

from fedseg.errors import ModelError
from fedseg.method import consistency
from fedseg.method.consistency import (
    CHANGES,
    above_chance,
    changes_of,
    class_consistency,
    mirror,
)
from fedseg.method.context import open_context
from fedseg.method.labelling import label_images
from fedseg.method.sample import COPIES
from fedseg.method.teachers import open_teachers
from fedseg.models import checkpoints
from fedseg.run.progress import silent


def test_chance_is_taken_off():
    counts = np.array(
        [
            [10, 10, 10, 0],  # cells of four classes in the image
            [10, 10, 10, 5],  # in the copy
            [10, 5, 5, 0],  # in both
            [10, 10, 0, 0],  # in another image
            [10, 0, 0, 0],  # in that and the copy
        ]
    )
    # The first is everywhere; the second has IoU 5 / 15, by chance 0; the last is never shared.
    assert above_chance(counts) == pytest.approx([0, 1 / 3, 1 / 3, 0])
    counts[4, 1] = 4  # by chance 4 / 16
    assert above_chance(counts)[1] == pytest.approx((1 / 3 - 1 / 4) / (1 - 1 / 4))


def test_every_change_keeps_the_size_and_changes_the_image():
    image = np.random.default_rng(0).integers(40, 200, (180, 96, 3), dtype=np.uint8)
    for change in CHANGES:
        copy = change(image)
        assert (copy.shape, copy.dtype) == (image.shape, np.uint8)
        assert np.abs(copy.astype(int) - image).mean() > 3
        assert (copy == change(image)).all()  # always the same
    assert (mirror(mirror(image)) == image).all()
    taken = [change for place in range(9) for change in changes_of(place)]
    assert sorted(taken) == sorted([*range(len(CHANGES))] * COPIES)


@pytest.fixture
def context(run, federation):
    return open_context(run, federation, silent)


def spoil(context, name, change):
    """Replace a client's weights."""
    folder = context.clients[name]
    network, info = checkpoints.load(folder)
    with torch.no_grad():
        change(network)
    checkpoints.save(folder, network, info)


def measured(context):
    teachers = open_teachers(context.clients)
    assert not label_images(context, teachers, context.images, context.student)
    return class_consistency(context, teachers)


def one_class(network):
    network.segmentation_head[0].weight.zero_()
    network.segmentation_head[0].bias.zero_()[0] = 5


def same_layout(network):
    """What it sees depends on the place, by the padding, and not on the image."""
    first = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    first.weight.zero_()


@pytest.mark.parametrize("change", [one_class, same_layout])
def test_a_model_that_does_not_look_is_not_consistent(context, change):
    spoil(context, "two", change)
    one, two = measured(context)
    assert one.max() > 0.05
    assert two.max() < 0.01


def test_classes_that_a_client_does_not_know_count_nothing(context):
    one, two = measured(context)
    assert one[9] == 0 == two[8]  # each is known to the other
    assert ((one >= 0) & (one <= 1)).all()


def test_an_interrupted_measurement_goes_on(context, monkeypatch):
    whole = measured(context)
    folders = {path.parent for path in context.run.predictions.glob("*/0.*")}
    assert len(folders) == 2
    for folder in folders:
        next(folder.glob("1.*")).unlink()
    seen = []
    real = consistency.infer_scores

    def counted(checkpoint, student, read, items, protocol):
        seen.extend(items)
        return real(checkpoint, student, read, items, protocol)

    monkeypatch.setattr(consistency, "infer_scores", counted)
    assert (measured(context) == whole).all()
    assert seen == [(1, change) for change in changes_of(1)] * 2


def test_a_model_that_fails_on_a_copy_counts_as_inconsistent(context, monkeypatch, caplog):
    real = consistency.infer_scores

    def fails(checkpoint, *rest):
        if checkpoint.name == "two":
            raise ModelError("the model's output holds NaN")
        return real(checkpoint, *rest)

    monkeypatch.setattr(consistency, "infer_scores", fails)
    one, two = measured(context)
    assert one.any()
    assert not two.any()
    assert "client 'two' counts as inconsistent: the model's output holds NaN" in caplog.text
