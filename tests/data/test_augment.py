from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fedseg.data.augment import Augmentation, CropSource, geometry, photometry
from fedseg.resize import resize_image
from tests.edges import TOLERANCE, black_and_white, edge, place_of


def augmentation():
    return Augmentation(lambda: geometry((32, 48), (0.25, 1.0)) + photometry())


def test_image_and_label_go_through_the_same_geometry():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, (3, 4)).repeat(24, axis=0).repeat(24, axis=1).astype(np.uint8)
    image = np.repeat(label[..., None] * 50, 3, axis=2)
    augment = Augmentation(lambda: geometry((32, 48), (0.25, 1.0)))
    for seed in range(20):
        view, cut = augment(image, label, seed)
        assert view.shape == (32, 48, 3)
        assert cut.shape == (32, 48)
        assert (abs(view[..., 0].astype(int) - cut * 50) <= 25).mean() > 0.85  # but for the seams


def test_labels_are_never_interpolated():
    label = np.zeros((60, 80), np.uint8)
    label[:, 40:] = 18
    label[30:] = 255
    augment = augmentation()
    seen = set()
    for seed in range(20):
        seen |= set(np.unique(augment(np.zeros((60, 80, 3), np.uint8), label, seed)[1]))
    assert seen == {0, 18, 255}


def test_the_result_depends_on_the_seed_alone():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    label = np.zeros((60, 80), np.uint8)
    augment = augmentation()
    alone = [augmentation()(image, label, seed)[0] for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: augment(image, label, seed)[0], range(16)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert not np.array_equal(alone[0], alone[1])


@pytest.mark.parametrize(
    ("size", "crop"),
    [
        ((263, 479), (48, 64)),
        ((131, 241), (64, 128)),
        ((96, 128), (96, 128)),
        ((48, 64), (96, 128)),
        ((37, 51), (64, 96)),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_labels_lie_where_their_images_show_them(size, crop, axis):
    """Edges in a crop and in its label, flipped or not: INTER_NEAREST is off by half a pixel."""
    augment = Augmentation(lambda: geometry(crop, (0.25, 1.0)))
    places = np.random.default_rng(0).uniform(0.2, 0.8, 1200)
    moved: dict[bool, list[float]] = {False: [], True: []}
    for seed, place in enumerate(places):
        label = edge(size, place, axis)
        # The other axis tells whether the crop is flipped.
        shade = np.linspace(0, 255, size[1]).astype(np.uint8)
        image = black_and_white(label)
        image[..., 1] = shade
        view, cut = augment(image, label, seed)
        is_flipped = bool(view[0, 0, 1] > view[0, -1, 1])
        if 0.15 < cut.mean() < 0.85:
            moved[is_flipped].append(place_of(cut, axis) - place_of(view[..., 0] / 255, axis))
    for distances in moved.values():
        assert len(distances) > 150
        assert abs(np.mean(distances)) < TOLERANCE


def test_crops_are_as_smooth_as_what_inference_sees():
    """Stripes too fine for the crop are grey; linear interpolation alone leaves them."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[:, ::2] = 254
    augment = Augmentation(lambda: geometry((40, 60), (0.6, 1.0)))
    assert resize_image(image, (40, 60)).std() < 20
    assert max(augment(image, None, seed)[0].std() for seed in range(20)) < 40


@pytest.mark.parametrize("crop", [(192, 256), (64, 96), (512, 1024)])
@pytest.mark.parametrize("smallest", [0.25, 0.7])
def test_no_crop_is_enlarged_because_of_the_size_it_is_cut_from(crop, smallest):
    """Windows of whole pixels are at least as large as the crop where they were before."""
    size = CropSource(crop, smallest)(1052, 1914)
    assert size[0] / size[1] == pytest.approx(1052 / 1914, rel=0.01)
    [cut, _] = geometry(crop, (smallest, smallest))
    for seed in range(200):
        cut.set_random_seed(seed)
        found = {}
        for name, shape in (("whole", (1052, 1914)), ("small", size)):
            cut.set_random_seed(seed)
            window = cut.get_params_dependent_on_data({"shape": shape}, {})["crop_coords"]
            found[name] = (window[3] - window[1], window[2] - window[0])
        for side in (0, 1):
            if found["whole"][side] >= crop[side]:
                assert found["small"][side] >= crop[side]


def test_small_images_stay_as_they_are():
    assert CropSource((192, 256), 0.25)(240, 320) == (240, 320)
