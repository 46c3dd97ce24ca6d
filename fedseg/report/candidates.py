"""Images that may be shown, and what the models make of them.

The models are run on them anew, so that a report can be made of any run folder, however old.
"""

from itertools import combinations

import numpy as np
from torch import nn

from fedseg.classes import IGNORE, ClassList
from fedseg.config import Protocol
from fedseg.data.dataset import Dataset
from fedseg.data.label_map import LabelMap
from fedseg.data.sampling import spread_indices
from fedseg.evaluation.evaluate import class_map, membership_of
from fedseg.evaluation.inference import infer
from fedseg.models.checkpoints import Info
from fedseg.report import pictures
from fedseg.resize import resize_label


class Candidates:
    """Some images of a set, spread evenly over it, and every model's labels of them.

    Everything is kept at the size at which pictures are shown.
    """

    def __init__(
        self, name: str, dataset: Dataset, classes: ClassList, protocol: Protocol, count: int
    ) -> None:
        """Read the images, and the labels where there are any.

        Args:
            name: of the set.
            dataset: labelled or not.
            classes: that the models predict.
            protocol: how images are shown to the models.
            count: how many images, at most.

        Raises:
            FedsegError: a file can't be read.
        """
        self.name, self.protocol = name, protocol
        self._dataset = dataset
        labelled = dataset.labels is not None
        self._mapped = LabelMap(dataset.card, classes) if labelled else None
        self.classes = self._mapped.names if self._mapped else list(classes.names)
        self.colours = self._mapped.colours() if self._mapped else classes.colour_table()
        self._membership = membership_of(self._mapped) if self._mapped else None
        self.indices = spread_indices(len(dataset), count)
        self.images = [pictures.shrink_image(dataset.image(index)) for index in self.indices]
        self.labels = self._read_labels(self._mapped) if self._mapped else None
        self.predictions: dict[str, list[np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.indices)

    def file_name(self, place: int) -> str:
        """Name of the file of an image."""
        return self._dataset.images[self.indices[place]].name

    def predict(self, model: str, network: nn.Module, info: Info) -> None:
        """Have a model label the images, uint8 [h, w] each, as it does when it is scored."""
        seen = infer(network, info, self._dataset.image, self.indices, self.protocol)
        self.predictions[model] = [
            class_map(logits, image.shape[:2], self._membership).cpu().numpy().astype(np.uint8)
            for (_, _, logits), image in zip(seen, self.images, strict=True)
        ]

    def disagreement(self, models: list[str], place: int) -> float:
        """Part of an image's pixels to which two models give two classes: the mean over pairs."""
        maps = [self.predictions[name][place] for name in models]
        return float(np.mean([np.mean(one != two) for one, two in combinations(maps, 2)]))

    def wrong(self, model: str, place: int) -> float:
        """Part of an image's labelled pixels that a model gets wrong; 0 where none is labelled."""
        assert self.labels is not None, "a set without labels"
        label = self.labels[place]
        labelled = label != IGNORE
        mistaken = (self.predictions[model][place] != label) & labelled
        return float(mistaken.sum() / max(labelled.sum(), 1))

    def _read_labels(self, mapped: LabelMap) -> list[np.ndarray]:
        table = mapped.scored_ids()
        return [
            resize_label(table[self._dataset.label(index)], image.shape[:2])
            for index, image in zip(self.indices, self.images, strict=True)
        ]
