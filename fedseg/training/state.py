"""The state of a training as one safetensors file, from which it is resumed: no pickle."""

import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fedseg.files import atomic_file
from fedseg.storage.hashes import content_hash
from fedseg.storage.provenance import notices
from fedseg.training.optimisation import Stepper

CHECKSUM = "checksum"
"""Key of a saved state's metadata: a hash of its tensors."""


class Pace:
    """When to save again: not before some time, 0 for none, or before 20 times the last save's.

    So saving takes a twentieth of the time at most, however large the model and slow the disk.
    """

    SHARE = 20

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ended, self._took = time.monotonic(), 0.0

    def is_due(self) -> bool:
        """Whether it is time."""
        wait = max(self._seconds, self.SHARE * self._took) if self._seconds else 0.0
        return time.monotonic() - self._ended > wait

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *error: object) -> None:
        self._ended = time.monotonic()
        self._took = self._ended - self._began


def save_state(path: Path, network: nn.Module, stepper: Stepper, losses: list[float]) -> None:
    """Save model, optimiser, and the loss of each step."""
    tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"scaler.{name}": value for name, value in stepper.scaler_state().items()}
    for index, slots in stepper.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{slot}": value for slot, value in slots.items()}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    with atomic_file(path) as temporary:
        contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
        save_file(contiguous, temporary, {CHECKSUM: content_hash(contiguous)})


def load_state(path: Path, network: nn.Module, stepper: Stepper) -> list[float]:
    """Load what `save_state` wrote, if it is there.

    Returns:
        The losses of the steps already done.
    """
    if not path.is_file():
        return []
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checksum = (file.metadata() or {}).get(CHECKSUM)
    except (SafetensorError, OSError) as error:
        notices.warning("%s: damaged (%s); training from the start", path, error)
        return []
    if checksum != content_hash(tensors):
        notices.warning("%s: its content is not what was written; training from the start", path)
        return []

    def part(prefix: str) -> dict[str, Tensor]:
        chosen = {name: v for name, v in tensors.items() if name.startswith(prefix)}
        return {name.removeprefix(prefix): value for name, value in chosen.items()}

    network.load_state_dict(part("model."))
    stepper.load_scaler_state(part("scaler."))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    groups = stepper.optimiser.state_dict()["param_groups"]
    stepper.optimiser.load_state_dict({"state": slots, "param_groups": groups})
    return tensors["losses"].tolist()
