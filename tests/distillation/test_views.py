import numpy as np
import pytest

from fedseg.config import Distillation
from fedseg.data.dataset import Dataset
from fedseg.distillation.teachers import write_target
from fedseg.distillation.views import Views, class_mix, random_view


def test_view_and_target_show_the_same_place():
    # The target grid is the picture at a quarter of its size, so any view of both must match too.
    rng = np.random.default_rng(0)
    target = rng.integers(0, 255, (12, 20, 3)).astype(np.uint8)
    image = np.kron(target, np.ones((4, 4, 1), np.uint8))
    for seed in range(20):
        view, part = random_view(image, target, (48, 80), (0.3, 1.0), np.random.default_rng(seed))
        assert view.shape == (48, 80, 3)
        assert part.shape == (12, 20, 3)
        small = view.reshape(12, 4, 20, 4, 3).mean(axis=(1, 3))
        correlation = np.corrcoef(small.ravel(), part.astype(float).ravel())[0, 1]
        assert correlation > 0.9


def test_whole_picture_is_the_largest_view():
    image = np.zeros((48, 80, 3), np.uint8)
    target = np.arange(12 * 20 * 3, dtype=np.uint8).reshape(12, 20, 3)
    _, part = random_view(image, target, (48, 80), (1.0, 1.0), np.random.default_rng(1))
    assert part.shape == (12, 20, 3)


def example(labels: np.ndarray, grey: int, classes: int = 6):
    """A view of one grey, and a target that is sure of its classes, with the grey as a feature."""
    target = np.eye(classes, dtype=np.uint8)[labels] * 255
    feature = np.full((*labels.shape, 1), grey, np.uint8)
    view = np.full((4 * labels.shape[0], 4 * labels.shape[1], 3), grey, np.uint8)
    return view, np.concatenate([target, feature], axis=-1)


def test_class_mix_pastes_half_of_the_classes_into_image_and_target_alike():
    labels = np.array([[1, 1, 2], [3, 4, 5]])
    onto, source = example(np.zeros_like(labels), 10), example(labels, 200)
    pasted = set()
    for seed in range(50):
        view, target = class_mix(onto, source, 6, np.random.default_rng(seed))
        found = target[..., :6].argmax(axis=-1)
        chosen = set(found[found > 0].tolist())
        assert len(chosen) == 3  # of five, and each whole
        assert (found == np.where(np.isin(labels, list(chosen)), labels, 0)).all()
        grey = np.where(found > 0, 200, 10)
        assert (view == np.kron(grey, np.ones((4, 4), int))[..., None]).all()
        assert (target[..., 6] == grey).all()
        pasted |= {frozenset(chosen)}
    assert len(pasted) == 10  # all ways to choose three of five
    assert (onto[0] == 10).all()
    assert (source[0] == 200).all()


def test_class_mix_sees_the_most_probable_class():
    """Features after the classes are none, however large."""
    labels = np.zeros((1, 2), int)
    onto, source = example(labels, 10), example(labels, 200)
    source[1][0, 0, :6] = [90, 100, 0, 0, 0, 0]
    results = set()
    for seed in range(20):
        _, target = class_mix(onto, source, 6, np.random.default_rng(seed))
        results.add(tuple(target[0, :, 6].tolist()))
    assert results == {(200, 10), (10, 200)}


@pytest.fixture
def draw(tmp_path):
    """Views of two images, black and white, each of two classes of its own."""

    class Two(Dataset):
        def __init__(self) -> None:
            pass

        def __len__(self) -> int:
            return 2

        def image(self, index: int) -> np.ndarray:
            return np.full((32, 64, 3), 255 * index, np.uint8)

    for index in range(2):
        labels = np.full((8, 16), index)
        labels[:, 8:] = index + 2
        write_target(tmp_path, index, example(labels, 0, 5)[1][..., :5])

    def draw(seed: int, **settings):
        chosen = Distillation(crop=(32, 64), scale=(1.0, 1.0), **settings)
        return Views(Two(), tmp_path, chosen, 5)(np.random.default_rng(seed))

    return draw


def test_views_are_mixed_as_often_as_configured(draw):
    def mixed(part: float) -> int:
        """How many of 60 views show both images: classes 0 and 2, and 1 and 3."""
        shown = [set(np.unique(draw(s, class_mix=part)[1].argmax(axis=-1))) for s in range(60)]
        return sum(bool(seen & {0, 2}) and bool(seen & {1, 3}) for seen in shown)

    assert mixed(0.0) == 0
    # Half of the time, the other image is the same one.
    assert 20 <= mixed(1.0) <= 40
    assert 5 <= mixed(0.5) < mixed(1.0)


def test_views_are_a_function_of_the_random_numbers(draw):
    for settings in ({}, {"class_mix": 1.0}):
        (one, target), (other, same) = draw(3, **settings), draw(3, **settings)
        assert (one == other).all()
        assert (target == same).all()


@pytest.mark.parametrize("channels", [127, 129, 255 + 32])
def test_a_target_may_have_more_channels_than_an_image(channels):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (12, 20, channels), np.uint8)
    image = np.zeros((48, 80, 3), np.uint8)
    _, part = random_view(image, target, (32, 64), (0.3, 1.0), np.random.default_rng(1))
    assert part.shape == (8, 16, channels)
    for c in (0, channels - 1):  # each channel as if it were alone
        alone = np.repeat(target[..., c : c + 1], 3, axis=-1)
        _, expected = random_view(image, alone, (32, 64), (0.3, 1.0), np.random.default_rng(1))
        assert (part[..., c] == expected[..., 0]).all()
