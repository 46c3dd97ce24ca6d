"""Class lists: the label space in which the models of a federation predict.

A class's place in its list is its trainId. The default is Cityscapes' 19 evaluation classes, with
names, order and colours of cityscapesScripts, `cityscapesscripts/helpers/labels.py`.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from fedseg.settings import Section, refuse_twice

IGNORE = 255
"""The label of pixels that take no part in training or scoring."""

CLASSES = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)
"""Names of Cityscapes' classes."""

OTHER_LABELS = (
    "ego vehicle",
    "rectification border",
    "out of roi",
    "static",
    "dynamic",
    "ground",
    "parking",
    "rail track",
    "guard rail",
    "bridge",
    "tunnel",
    "polegroup",
    "caravan",
    "trailer",
    "license plate",
)
"""Labels of Cityscapes that are none of its evaluation classes."""

SYNTHIA_CLASSES = tuple(name for name in CLASSES if name not in ("terrain", "truck", "train"))
"""The 16 classes that SYNTHIA has, over which papers on it average."""

PALETTE = np.array(
    [
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ],
    dtype=np.uint8,
)
"""RGB colours of Cityscapes' classes, uint8 [19, 3]."""

MOST_CLASSES = IGNORE
"""Length of a class list, and of a card's: labels are uint8, and 255 is ignored."""


def _trimmed(name: str) -> str:
    if not name or name != name.strip():
        raise ValueError("a name is empty, or begins or ends with a space")
    return name


ClassName = Annotated[str, Field(max_length=100), AfterValidator(_trimmed)]
Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Byte, Byte, Byte]


class ClassList(Section):
    """The classes that models predict; default: Cityscapes' 19.

    Examples:
        >>> from fedseg.classes import ClassList
        >>> classes = ClassList(names=("road", "vehicle"), members={"vehicle": ("car", "bus")})
        >>> len(classes), classes.train_ids["bus"], classes.palette.tolist()
        (2, 1, [[128, 64, 128], [0, 128, 0]])
    """

    names: tuple[ClassName, ...] = Field(min_length=2, max_length=MOST_CLASSES)
    """Their names; a class's place here is its trainId."""
    colours: tuple[Colour, ...] = ()
    """RGB colour of each; default: Cityscapes' of a class of that name, and others of their own."""
    members: dict[ClassName, tuple[ClassName, ...]] = Field({}, max_length=MOST_CLASSES)
    """Which classes of dataset cards, besides the one of its name, become one of them, as
    `vehicle = ["car", "truck", "bus"]`."""
    scored: dict[ClassName, tuple[ClassName, ...]] = Field({}, max_length=MOST_CLASSES)
    """Coarser classes to score over, each made up of some of `names`; probabilities are summed.
    Default: `names` themselves."""

    @model_validator(mode="before")
    @classmethod
    def _names_alone(cls, data: Any) -> Any:
        return data if isinstance(data, dict | ClassList) else {"names": data}

    @model_validator(mode="after")
    def _check(self) -> "ClassList":
        refuse_twice("names", self.names)
        if self.colours and len(self.colours) != len(self.names):
            raise ValueError(f"colours: {len(self.colours)} for {len(self.names)} names")
        refuse_twice("colours", self.colours)
        for name in self.members:
            if name not in self.names:
                raise ValueError(f"members: '{name}' is none of the names")
        refuse_twice("members", [m for parts in self._parts().values() for m in parts])
        for group, parts in self.scored.items():
            for name in parts:
                if name not in self.names:
                    raise ValueError(f"scored: '{group}': '{name}' is none of the names")
            if not parts:
                raise ValueError(f"scored: '{group}' is made up of no class")
        refuse_twice("scored", [name for parts in self.scored.values() for name in parts])
        if len(self.scored) == 1:
            raise ValueError("scored: give two classes at least, or leave it out")
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        """A list that is nothing but names is written as these."""
        content = handler(self)
        given = [key for key, value in content.items() if value]
        return content["names"] if given == ["names"] else content

    def __len__(self) -> int:
        return len(self.names)

    def __hash__(self) -> int:
        return hash(self.names)

    @cached_property
    def train_ids(self) -> dict[str, int]:
        """The trainId that a card's class becomes, by its name."""
        parts = self._parts().values()
        return {part: train_id for train_id, p in enumerate(parts) for part in p}

    @cached_property
    def palette(self) -> np.ndarray:
        """RGB colour of each class, uint8 [C, 3]."""
        if self.colours:
            return np.array(self.colours, np.uint8)
        own = dict(zip(CLASSES, PALETTE.tolist(), strict=True))
        found = [own.get(name) for name in self.names]
        others = (c for c in _distinct_colours() if c not in found)
        return np.array([next(others) if c is None else c for c in found], np.uint8)

    def colour_table(self) -> np.ndarray:
        """RGB colour of each value of a label, uint8 [256, 3]; what is no class is black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.palette
        return table

    def colourise(self, label: np.ndarray) -> np.ndarray:
        """Colours of a trainId map.

        Args:
            label: integers [H, W], 0..C-1; anything else is drawn black.

        Returns:
            uint8 [H, W, 3], RGB.
        """
        return self.colour_table().take(label.astype(np.uint8), axis=0)

    def _parts(self) -> dict[str, tuple[str, ...]]:
        return {n: tuple(dict.fromkeys((n, *self.members.get(n, ())))) for n in self.names}


def _distinct_colours() -> Iterable[list[int]]:
    """Pascal VOC's colours, [R, G, B], black left out: bits of the number, spread over channels."""
    for number in range(1, 256):
        bits = [(number >> place) & 1 for place in range(8)]
        yield [
            sum(bits[3 * k + channel] << (7 - k) for k in range(3) if 3 * k + channel < 8)
            for channel in range(3)
        ]


CITYSCAPES = ClassList(names=CLASSES)
"""The default."""
