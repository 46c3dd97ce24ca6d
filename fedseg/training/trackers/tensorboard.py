"""TensorBoard: event files in <folder>/tensorboard/<name>, shown by `tensorboard --logdir`."""

from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """A log directory for each training."""

    def __init__(self, folder: Path, project: str, run: str, name: str) -> None:
        self._writer = SummaryWriter(folder / "tensorboard" / name)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add scalars."""
        for metric, value in values.items():
            self._writer.add_scalar(metric, value, step)

    def close(self) -> None:
        """Flush."""
        self._writer.close()
