"""Renders streets of unstable classes with streetsim: new images without a download."""

import numpy as np

from fedseg import config
from fedseg.classes import ClassList
from fedseg.data.cards import load_card
from fedseg.data.dataset import Dataset
from fedseg.data.label_map import LabelMap
from fedseg.method.generation.candidates import Made
from fedseg.method.teachers import Teacher, class_list
from fedseg.streetsim import SCORED_STYLES, STYLES, render

SIZE = (288, 384)
"""Height and width of an image."""
SMALLEST = 0.002
"""Part of an image that the wanted class must cover."""
TRIES = 40
"""Streets that are rendered until one shows the class."""


class Streetsim:
    """Streets of every style but those that are scored on, which must stay unseen."""

    def __init__(
        self, settings: config.Augmentation, images: Dataset, teachers: list[Teacher]
    ) -> None:
        self._styles = [style for style in STYLES if style not in SCORED_STYLES]
        mapped = LabelMap(load_card("streetsim"), class_list(teachers))
        self._train_ids = mapped.train_ids()

    @staticmethod
    def check(settings: config.Augmentation, classes: ClassList) -> None:
        """See that streetsim's classes are among those of the federation.

        Raises:
            FedsegError: they are not.
        """
        LabelMap(load_card("streetsim"), classes)

    def makes(self, train_id: int) -> bool:
        """Every class of Cityscapes' has its place in a street."""
        return train_id in self._train_ids

    def make(self, train_id: int, rng: np.random.Generator) -> Made | None:
        """A street in which that class appears; None where none of TRIES does.

        Its labels are not kept: the clients label it, like every image of the server.
        """
        for _ in range(TRIES):
            style = self._styles[rng.integers(len(self._styles))]
            index = int(rng.integers(2**31))
            image, labels = render(style, 0, index, SIZE)
            place = self._train_ids[labels] == train_id
            area = float(place.mean())
            if area >= SMALLEST:
                rows, columns = (np.flatnonzero(place.any(axis=axis)) for axis in (1, 0))
                height, width = SIZE
                box = (
                    rows[0] / height,
                    columns[0] / width,
                    (rows[-1] + 1) / height,
                    (columns[-1] + 1) / width,
                )
                made_of: dict[str, str | int | float] = {"style": style, "index": index}
                return Made(image, box, area, made_of, is_certain=True)
        return None
