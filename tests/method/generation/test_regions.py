import numpy as np
import pytest
from scipy import ndimage

from fedseg.classes import CITYSCAPES
from fedseg.method.generation.regions import SMALLEST, Regions


class Fake:
    """A teacher that says what it is given."""

    def __init__(self, maps, coverage):
        self.maps, self.coverage = maps, set(coverage)
        self.class_list = CITYSCAPES

    def classes(self, index):
        return self.maps[index]


@pytest.mark.parametrize("clients", [1, 2, 3, 4])
def test_regions_are_those_of_a_plain_count_of_votes(clients):
    rng = np.random.default_rng(clients)
    blocks = rng.integers(0, 4, (clients, 3, 4, 6), dtype=np.uint8)
    maps = np.kron(blocks, np.ones((3, 3), np.uint8))
    coverage = [set(range(19)) - {int(rng.integers(4))} for _ in range(clients)]
    regions = Regions(3, [Fake(*pair) for pair in zip(maps, coverage, strict=True)])

    def areas(train_id, votes_needed):
        found = []
        knowing = [k for k in range(clients) if train_id in coverage[k]]
        for image in range(3):
            votes = sum((maps[k, image] == train_id).astype(int) for k in knowing)
            parts, count = ndimage.label(votes >= votes_needed, structure=np.ones((3, 3)))
            sizes = [int((parts == part).sum()) for part in range(1, count + 1)]
            found += [(image, size) for size in sizes if size >= SMALLEST]
        return sorted(found)

    for train_id in range(5):
        knowing = sum(train_id in known for known in coverage)
        expected = areas(train_id, max(2, knowing // 2 + 1)) if knowing else []
        expected = expected or (areas(train_id, 1) if knowing else [])
        given = [(r.image, round(r.area * maps[0, 0].size)) for r in regions[train_id]]
        assert sorted(given) == expected
        for image in range(3):
            largest = ndimage.label(regions.cells(image, train_id), structure=np.ones((3, 3)))[0]
            sizes = np.bincount(largest.ravel())[1:]
            assert sorted(sizes[sizes >= SMALLEST]) == [s for i, s in expected if i == image]
