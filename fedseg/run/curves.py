"""The loss of a training over its iterations."""

from pathlib import Path

import numpy as np

from fedseg.files import write_json

POINTS = 200
"""Points of a curve; of a longer training each is the mean over some iterations."""


def write_curve(path: Path, losses: list[float]) -> None:
    """Write a curve as JSON.

    Args:
        path: file to write.
        losses: of each iteration.
    """
    blocks = np.array_split(np.array(losses), min(POINTS, len(losses)))
    ends = np.cumsum([len(block) for block in blocks])
    means = [round(float(block.mean()), 5) for block in blocks]
    write_json(path, {"iterations": ends.tolist(), "loss": means})
