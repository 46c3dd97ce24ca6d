"""TensorBoard: event files in <folder>/tensorboard/<name>, shown by `tensorboard --logdir`."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """A log directory for each training."""

    def __init__(self, folder: Path, run: str, name: str) -> None:
        self._folder = folder / "tensorboard" / name
        self._purge_step: int | None = None

    @cached_property
    def _writer(self) -> SummaryWriter:
        return SummaryWriter(self._folder, purge_step=self._purge_step)

    def resume(self, step: int) -> int:
        """Hide all that is there: of steps before a kill, too, not all may have been written."""
        self._purge_step = 1
        self._writer.flush()
        return 0

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add scalars."""
        for metric, value in values.items():
            self._writer.add_scalar(metric, value, step)

    def close(self) -> None:
        """Flush."""
        self._writer.close()
