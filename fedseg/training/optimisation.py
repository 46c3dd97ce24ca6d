"""One optimiser step: learning rate, arithmetic, loss scaling."""

import math

import torch
from torch import Tensor, nn

from fedseg.config import Training

WARM_UP = 0.1
"""Part of the iterations over which the learning rate rises from 0."""


def learning_rate_factor(step: int, iterations: int) -> float:
    """Share of the learning rate at a step, 0..1: a linear warm-up, then half a cosine down to 0.

    Args:
        step: counted from 0.
        iterations: of the training.
    """
    warm_up = math.ceil(WARM_UP * iterations)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    part = (step - warm_up) / max(iterations - warm_up, 1)
    return 0.5 * (1 + math.cos(math.pi * part))


def choose_precision(device: torch.device, precision: str) -> torch.dtype:
    """The arithmetic of the forward pass; "auto": bfloat16 where a GPU has it, else float16."""
    match precision:
        case "auto" if device.type == "cuda":
            has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if has_bfloat16 else torch.float16
        case "auto":
            return torch.float32
        case _:
            return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[
                precision
            ]


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision as configured."""
    dtype = choose_precision(device, precision)
    is_mixed = dtype != torch.float32
    return torch.autocast(device.type, dtype if is_mixed else torch.bfloat16, enabled=is_mixed)


class Stepper:
    """AdamW, and all that happens between a loss and the new weights.

    Attributes:
        network: called in the forward pass.
        optimiser: AdamW of the parameters that are trained.
    """

    def __init__(self, network: nn.Module, settings: Training, device: torch.device) -> None:
        self.network = network
        self._settings = settings
        self.optimiser: torch.optim.Optimizer = torch.optim.AdamW(
            [parameter for parameter in network.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=device.type == "cuda" or None,  # on a CPU it would round otherwise, no faster
        )
        is_half = choose_precision(device, settings.precision) == torch.float16
        self._scaler = torch.amp.GradScaler(device.type, enabled=is_half)

    def step(self, loss: Tensor, number: int) -> None:
        """Change the weights by a loss.

        Args:
            loss: a scalar.
            number: of the step, from 0.
        """
        settings = self._settings
        rate = settings.learning_rate * learning_rate_factor(number, settings.iterations)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def scaler_state(self) -> dict[str, Tensor]:
        """How the loss is scaled now: float64 scalars; empty where it is not scaled."""
        state = self._scaler.state_dict()
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()}

    def load_scaler_state(self, state: dict[str, Tensor]) -> None:
        """Scale the loss as another stepper did."""
        if state:
            counts = ("growth_interval", "_growth_tracker")
            self._scaler.load_state_dict(
                {name: int(v) if name in counts else float(v) for name, v in state.items()}
            )
