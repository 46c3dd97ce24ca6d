"""Cityscapes' 19 evaluation classes: the one label space in which every fedseg model predicts.

Names, order (trainId) and colours are those of cityscapesScripts,
`cityscapesscripts/helpers/labels.py`.
"""

import numpy as np

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
"""Class names; a class's place here is its trainId."""

NUM_CLASSES = len(CLASSES)

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
"""RGB colour of each trainId, uint8 [19, 3]."""


def colourise(label: np.ndarray) -> np.ndarray:
    """Colours of a trainId map.

    Args:
        label: integers [H, W], 0..18; anything else is drawn black.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    table = np.zeros((256, 3), np.uint8)
    table[:NUM_CLASSES] = PALETTE
    return table[label.astype(np.uint8)]
