import re
from pathlib import Path

import numpy as np
import pytest

from fedseg.resize import resize_image, resize_label, resize_target
from tests.edges import TOLERANCE, black_and_white, place_of

ROOT = Path(__file__).parents[1]
SIDES = [
    (256, 128),
    (400, 100),
    (300, 100),
    (1052, 370),
    (101, 50),
    (300, 200),
    (100, 99),
    (128, 256),
    (97, 131),
    (200, 300),
    (50, 50),
]
"""Sides before and after: even and odd, shrunk and enlarged, by whole factors and others."""


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("old", "new"), SIDES)
def test_edges_stay_in_their_place(old, new, axis):
    """Of images, labels and targets, on average over all edges between two pixels."""
    size, target = ((old, 6), (new, 6)) if axis == 0 else ((6, old), (6, new))
    moved: dict[str, list[float]] = {"image": [], "label": [], "target": []}
    for place in range(old // 4, old - old // 4):
        line = (np.arange(old) >= place).astype(np.uint8)
        label = np.broadcast_to(line[:, None] if axis == 0 else line, size).copy()
        soft = np.stack([label * 255, 255 - label * 255, *[label * 0] * 4], axis=-1)
        found = {
            "image": resize_image(black_and_white(label), target)[..., 0] / 255,
            "label": resize_label(label, target),
            "target": resize_target(soft, target)[..., 0] / 255,
        }
        for what, array in found.items():
            moved[what].append(place_of(array, axis) - place * new / old)
    for what, distances in moved.items():
        assert abs(np.mean(distances)) < 0.02, what
    assert np.abs(moved["label"]).max() <= max(0.5, 0.5 * new / old) + 1e-9
    assert np.abs(moved["image"]).max() < 2 * TOLERANCE


@pytest.mark.parametrize("new", [37, 50, 64, 99])
def test_what_shrinks_is_averaged_over_areas(new):
    """The integral between the new pixels' edges, by the cumulated sums of the old ones."""
    image = np.random.default_rng(0).random((100, 100, 3)).astype(np.float32)

    def shrink(array):
        sums = np.concatenate([np.zeros((1, *array.shape[1:])), np.cumsum(array, axis=0)])
        at = np.linspace(0, 100, new + 1)
        whole = at.astype(int).clip(max=99)
        rest = (at - whole).reshape(-1, *[1] * (array.ndim - 1))
        return np.diff(sums[whole] + rest * (sums[whole + 1] - sums[whole]), axis=0) * new / 100

    expected = shrink(shrink(image).swapaxes(0, 1)).swapaxes(0, 1)
    assert np.allclose(resize_image(image, (new, new)), expected, atol=1e-5)
    assert np.allclose(resize_target(image, (new, new)), expected, atol=1e-5)
    many = np.tile(image, 100)  # OpenCV alone takes 4 channels, or 128
    assert np.allclose(resize_target(many, (new, new)), np.tile(expected, 100), atol=1e-5)


def test_a_side_that_shrinks_is_smooth_though_the_other_grows():
    stripes = np.zeros((60, 20, 3), np.uint8)
    stripes[::2] = 254
    assert (resize_image(stripes, (15, 40)) == 127).all()
    assert (resize_image(stripes.swapaxes(0, 1).copy(), (40, 15)) == 127).all()


def test_classes_are_chosen_and_never_mixed():
    label = np.random.default_rng(0).choice([0, 7, 255], (31, 43)).astype(np.uint8)
    for size in ((13, 17), (62, 86), (31, 20)):
        small = resize_label(label, size)
        assert small.shape == size
        assert set(np.unique(small)) <= {0, 7, 255}
    assert (resize_label(label, (62, 86)) == label.repeat(2, 0).repeat(2, 1)).all()
    assert (resize_label(label.repeat(3, 0).repeat(3, 1), label.shape) == label).all()


def test_mirrored_pictures_give_mirrored_results():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 19, (40, 60)).astype(np.uint8)
    image = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    for size in ((20, 30), (26, 44), (80, 90)):
        for flip in (np.flipud, np.fliplr):
            assert (resize_label(flip(label), size) == flip(resize_label(label, size))).all()
            mirrored = flip(resize_image(image, size)).astype(int)
            assert (
                np.abs(resize_image(np.ascontiguousarray(flip(image)), size) - mirrored).max() <= 1
            )


def test_what_has_the_size_stays_as_it_is():
    label = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert resize_label(label, (3, 4)) is label
    assert (resize_target(label[..., None], (3, 4)) == label[..., None]).all()


def test_nothing_is_resized_elsewhere():
    """Each other way has a rule of its own of where a pixel lies.

    The renderer under benchmarks/rendered makes its textures with OpenCV; its labels it traces.
    """
    others = re.compile(r"cv2\.(resize|INTER_AREA|pyr)|\.resize\(\(|\.thumbnail\(|A\.\w*Resize\(")
    files = [
        path
        for top in ("fedseg", "clients", "server", "benchmarks", "docs")
        for path in (ROOT / top).rglob("*.py")
        if "textures" not in path.parts
    ]
    found = {path.name for path in files if others.search(path.read_text())}
    assert found == {"resize.py"}


def test_scores_are_resized_about_the_centres_of_their_pixels():
    """`F.interpolate` else keeps the corners, or takes the upper left pixel."""
    for path in (ROOT / "fedseg").rglob("*.py"):
        for call in re.findall(r"F\.interpolate\((?:[^()]|\([^()]*\))*\)", path.read_text()):
            assert "align_corners=False" in call, path.name
