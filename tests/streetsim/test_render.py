"""Pictures and labels of the street generator."""

import numpy as np
import pytest

from fedseg.streetsim import STYLES, render

SKY, ROAD = 10, 0
MISSING = {"suburb": {9, 14, 16}}  # terrain, truck, train: as in SYNTHIA


@pytest.fixture(scope="module")
def samples() -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    return {style: [render(style, 0, index) for index in range(60)] for style in STYLES}


def test_there_are_the_five_styles():
    assert set(STYLES) == {"boulevard", "suburb", "oldtown", "crosstown", "harbour", "stormnight"}


def test_arguments_alone_decide(samples):
    for style, pictures in samples.items():
        np.random.seed(1)
        for index in (7, 3):  # another order, another global state
            image, label = render(style, 0, index)
            np.testing.assert_array_equal(image, pictures[index][0])
            np.testing.assert_array_equal(label, pictures[index][1])


def test_seed_and_index_matter():
    image, label = render("boulevard", 0, 0)
    for seed, index in ((1, 0), (0, 1)):
        other, answer = render("boulevard", seed, index)
        assert (image != other).mean() > 0.5
        assert (label != answer).mean() > 0.05


@pytest.mark.parametrize("style", STYLES)
def test_every_class_is_common_enough(samples, style):
    images = np.zeros(256)
    for _, label in samples[style]:
        images += np.bincount(label.ravel(), minlength=256) >= 25
    missing = MISSING.get(style, set())
    for label in range(19):
        if label in missing:
            assert images[label] == 0
        else:
            assert images[label] >= 0.15 * 60, label


@pytest.mark.parametrize("style", STYLES)
def test_labels_are_train_ids(samples, style):
    for _, label in samples[style]:
        assert set(np.unique(label)) <= {*range(19), 255}
        assert (label == 255).mean() < 0.02


@pytest.mark.parametrize("style", STYLES)
def test_sky_is_above_the_road(samples, style):
    for _, label in samples[style]:
        sky, road = (np.nonzero(label == which)[0] for which in (SKY, ROAD))
        assert len(road)
        if len(sky):
            assert sky.mean() < road.mean()
    stacked = np.stack([label for _, label in samples[style]])
    assert (stacked == ROAD).mean() > 0.15


def test_styles_look_different(samples):
    def look(style: str) -> np.ndarray:
        pixels = np.stack([image for image, _ in samples[style]]).reshape(-1, 3).astype(float)
        return np.concatenate([pixels.mean(0), pixels.std(0), [np.ptp(pixels, axis=1).mean()]])

    looks = {style: look(style) for style in ("boulevard", "suburb", "oldtown", "stormnight")}
    for a in looks:
        for b in looks:
            if a < b:
                assert np.abs(looks[a] - looks[b]).max() > 8, (a, b)


@pytest.mark.parametrize("size", [(120, 160), (192, 256), (384, 512), (90, 200)])
def test_size(size):
    for style in STYLES:
        image, label = render(style, 0, 2, size)
        assert image.shape == (*size, 3)
        assert label.shape == size
        assert image.dtype == label.dtype == np.uint8


def test_sizes_show_the_same_scene():
    _, small = render("crosstown", 0, 5, (96, 128))
    _, large = render("crosstown", 0, 5, (384, 512))
    assert (small == large[2::4, 2::4]).mean() > 0.85


def test_unknown_style():
    with pytest.raises(ValueError, match=r"boulevard.*stormnight"):
        render("moon", 0, 0)


@pytest.mark.parametrize("axis", [0, 1])
def test_labels_lie_where_their_pictures_show_them(samples, axis):
    """Seams between classes and steps of brightness fall together, not a part of a pixel apart.

    The shift at which they fall together best is that of a parabola through three of them.
    """
    found = np.zeros(3)
    for style in ("boulevard", "suburb", "oldtown", "crosstown"):
        for image, label in samples[style]:
            step = np.abs(np.diff(image.astype(float).mean(axis=2), axis=axis))
            seam = np.diff(label.astype(int), axis=axis) != 0
            found += [(np.roll(step, shift, axis) * seam).sum() for shift in (-1, 0, 1)]
    before, here, after = found
    assert abs((before - after) / (2 * (before - 2 * here + after))) < 0.03
