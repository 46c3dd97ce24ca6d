from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fedseg.data.augment import Augmentation, geometry, photometry


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
