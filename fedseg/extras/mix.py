"""Cut and paste between the server's images: regions of unstable classes that clients see."""

import albumentations as A
import cv2
import numpy as np

from fedseg import config
from fedseg.data.augment import Augmentation, photometry
from fedseg.data.dataset import Dataset
from fedseg.method.generation.candidates import Made
from fedseg.method.generation.regions import Region, Regions, draw_region
from fedseg.method.teachers import Teacher
from fedseg.resize import resize_image, resize_target


def change_weather() -> list[A.BasicTransform]:
    """Changes of light and weather."""
    return [
        *photometry(),
        A.OneOf(
            [A.RandomRain(p=1), A.RandomFog(fog_coef_range=(0.1, 0.4), p=1), A.RandomShadow(p=1)],
            p=0.5,
        ),
    ]


class Mix:
    """Pastes a region where, and as large as, the clients see its class in other images."""

    def __init__(
        self, settings: config.Augmentation, images: Dataset, teachers: list[Teacher]
    ) -> None:
        self._images = images
        self._augment = Augmentation(change_weather)
        self._regions = Regions(len(images), teachers)

    def makes(self, train_id: int) -> bool:
        """Only of a class that a client sees somewhere there is anything to paste."""
        return bool(self._regions[train_id]) and len(self._images) > 1

    def make(self, train_id: int, rng: np.random.Generator) -> Made | None:
        """An image with one region of that class more; None where no client sees any."""
        if not self.makes(train_id):
            return None
        regions = self._regions[train_id]
        source = draw_region(regions, rng)
        place = regions[rng.integers(len(regions))]
        onto = int(rng.integers(len(self._images) - 1))
        onto += onto >= source.image
        image = self._images.image(onto)
        patch, alpha = self._cut(source, train_id)
        rows = place.height * image.shape[0] * rng.uniform(0.9, 1.1)
        scale = float(np.clip(rows / patch.shape[0], 0.5, 2.0))
        size = max(round(patch.shape[0] * scale), 1), max(round(patch.shape[1] * scale), 1)
        patch, alpha = resize_image(patch, size), resize_target(alpha, size)
        if rng.random() < 0.5:
            patch, alpha = patch[:, ::-1], alpha[:, ::-1]
        bottom = round((place.top + place.height) * image.shape[0])
        left = int(rng.integers(-patch.shape[1] // 4, image.shape[1] - patch.shape[1] * 3 // 4 + 1))
        image, box, area = paste_region(image, patch, alpha, bottom, left)
        image = self._augment(image, None, int(rng.integers(2**31)))[0]
        made_of = {
            "from": self._images.images[source.image].name,
            "onto": self._images.images[onto].name,
        }
        return Made(image, box, area, made_of)

    def _cut(self, region: Region, train_id: int) -> tuple[np.ndarray, np.ndarray]:
        """A region's pixels, uint8 [h, w, 3], and how opaque they are, float32 [h, w], 0..1."""
        image = self._images.image(region.image)
        cells = self._regions.cells(region.image, train_id).astype(np.float32)
        alpha = resize_target(cells, image.shape[:2])
        rows, columns = image.shape[:2]
        place = (
            slice(round(region.top * rows), round((region.top + region.height) * rows)),
            slice(round(region.left * columns), round((region.left + region.width) * columns)),
        )
        return image[place], alpha[place]


def paste_region(
    image: np.ndarray, patch: np.ndarray, alpha: np.ndarray, bottom: int, left: int
) -> tuple[np.ndarray, tuple[float, float, float, float], float]:
    """Paste a patch so that its lowest row is `bottom`; what sticks out is cut off.

    Args:
        image: uint8 [H, W, 3].
        patch: uint8 [h, w, 3].
        alpha: float32 [h, w], 0..1; its edges are softened.
        bottom: row, exclusive.
        left: column, may be negative.

    Returns:
        The new image; the pasted box (top, left, bottom, right) and its opaque area, both in parts
        of the image.
    """
    rows, columns = image.shape[:2]
    height, width = alpha.shape
    top = bottom - height
    inside = (
        slice(max(-top, 0), min(height, rows - top)),
        slice(max(-left, 0), min(width, columns - left)),
    )
    target = (
        slice(max(top, 0), min(bottom, rows)),
        slice(max(left, 0), min(left + width, columns)),
    )
    soft = cv2.GaussianBlur(alpha, (0, 0), sigmaX=max(rows / 200, 0.8))[inside][..., None]
    out = image.copy()
    out[target] = np.rint(soft * patch[inside] + (1 - soft) * image[target]).astype(np.uint8)
    box = (
        target[0].start / rows,
        target[1].start / columns,
        target[0].stop / rows,
        target[1].stop / columns,
    )
    return out, box, float((alpha[inside] > 0.5).sum() / (rows * columns))
