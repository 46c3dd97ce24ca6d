import numpy as np
import pytest
from PIL import Image

from fedseg.classes import CITYSCAPES, CLASSES
from fedseg.config import Augmentation
from fedseg.extras.streetsim_images import SIZE, SMALLEST, Streetsim
from fedseg.method.generation.candidates import make_candidates
from fedseg.run.records import Recipe
from fedseg.streetsim import SCORED_STYLES, render


@pytest.fixture
def generator():
    return Streetsim(Augmentation(generator="streetsim"), None, [])


@pytest.mark.parametrize("name", CLASSES)
def test_the_class_is_where_it_is_said_to_be(generator, name):
    train_id = CLASSES.index(name)
    assert generator.makes(train_id)
    made = generator.make(train_id, np.random.default_rng(3))
    image, labels = render(made.made_of["style"], 0, made.made_of["index"], SIZE)
    np.testing.assert_array_equal(made.image, image)
    found = labels == train_id
    assert made.area == pytest.approx(found.mean())
    assert made.area >= SMALLEST
    top, left, bottom, right = (
        round(part * side) for part, side in zip(made.box, SIZE * 2, strict=True)
    )
    assert found[top:bottom, left:right].sum() == found.sum()  # all of it
    for edge in (found[top], found[bottom - 1], found[:, left], found[:, right - 1]):
        assert edge.any()  # and no more


def test_styles_that_are_scored_stay_unseen(generator):
    rng = np.random.default_rng(0)
    styles = {generator.make(0, rng).made_of["style"] for _ in range(40)}
    assert len(styles) > 2
    assert not styles & set(SCORED_STYLES)


def test_candidates_follow_from_their_numbers(generator, tmp_path):
    weights = {CLASSES.index("train"): 0.5, CLASSES.index("truck"): 0.5}
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        paths = make_candidates(generator, 6, weights, CITYSCAPES, 4, folder, {}, lambda *_: None)
        written.append([np.array(Image.open(path)) for path in paths])
        names = {Recipe.read(path.with_suffix(".json")).class_name for path in paths}
        assert names == {"train", "truck"}
    assert len(written[0]) == 6
    assert all(Recipe.read(path.with_suffix(".json")).is_certain for path in paths)
    for one, two in zip(*written, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(written[0][0], written[0][1])
