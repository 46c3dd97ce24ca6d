"""Generator: darker copies of the server's images in which clients see the class.

generator = "night:Night" under [server.augmentation]
"""

import numpy as np

from fedseg.config import Augmentation
from fedseg.extend import Dataset, Made, Regions, Teacher


class Night:
    """Makes a darker copy of an image in which the clients see a region of the class."""

    def __init__(self, settings: Augmentation, images: Dataset, teachers: list[Teacher]) -> None:
        self._images = images
        self._regions = Regions(len(images), teachers)

    def makes(self, train_id: int) -> bool:
        return bool(self._regions[train_id])

    def make(self, train_id: int, rng: np.random.Generator) -> Made | None:
        if not self.makes(train_id):
            return None
        region = self._regions[train_id][int(rng.integers(len(self._regions[train_id])))]
        dark = (self._images.image(region.image) * rng.uniform(0.2, 0.6)).astype(np.uint8)
        box = (region.top, region.left, region.top + region.height, region.left + region.width)
        return Made(dark, box, region.area, {"from": region.image})
