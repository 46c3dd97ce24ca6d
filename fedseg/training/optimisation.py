"""One optimiser step: learning rates, weight decay, clipping, loss scaling, averaged weights."""

import math
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from fedseg.config import Training

POLY_POWER = 0.9
"""As in DeepLab: Chen et al., arXiv 1606.00915, section 4.1."""


def learning_rate_factor(step: int, settings: Training) -> float:
    """Share of the learning rate at a step, 0..1: a linear warm-up, then the schedule down to 0.

    Args:
        step: counted from 0.
        settings: of the training.
    """
    warmup = math.ceil(settings.warmup * settings.iterations)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    part = (step - warmup) / max(settings.iterations - warmup, 1)
    if settings.schedule == "poly":
        return (1 - part) ** POLY_POWER
    return 0.5 * (1 + math.cos(math.pi * part))


def parameter_groups(network: nn.Module, settings: Training) -> list[dict[str, Any]]:
    """The parameters by learning rate and weight decay, for a torch optimiser.

    The encoder, the network's own or that of a network within it, has its own learning rate.
    Vectors, that is the biases and all parameters of normalisations, may be spared from weight
    decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = settings.encoder_learning_rate if "encoder" in name.split(".")[:2] else 1.0
        is_spared = parameter.ndim <= 1 and not settings.decay_vectors
        decay = 0.0 if is_spared else settings.weight_decay
        groups.setdefault((factor * settings.learning_rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def arithmetic(device: torch.device, precision: str) -> torch.dtype:
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
    dtype = arithmetic(device, precision)
    is_mixed = dtype != torch.float32
    return torch.autocast(device.type, dtype if is_mixed else torch.bfloat16, enabled=is_mixed)


class Stepper:
    """AdamW, and all that happens between a loss and the new weights.

    Attributes:
        optimiser: AdamW.
        average: a copy of the network with the moving average of its weights, where one is kept.
    """

    def __init__(self, network: nn.Module, settings: Training, device: torch.device) -> None:
        self._network = network
        self._settings = settings
        groups = parameter_groups(network, settings)
        self._rates = [group["lr"] for group in groups]
        # On a CPU it would round otherwise, and be no faster.
        self.optimiser = torch.optim.AdamW(groups, fused=device.type == "cuda" or None)
        self.average = deepcopy(network).eval() if settings.ema else None
        is_half = arithmetic(device, settings.precision) == torch.float16
        self._scaler = torch.amp.GradScaler(device.type, enabled=is_half)

    def backward(self, loss: Tensor) -> None:
        """Add a part's gradients."""
        self._scaler.scale(loss / self._settings.accumulation).backward()  # type: ignore[no-untyped-call]

    def step(self, number: int) -> None:
        """Change the weights, and clear the gradients.

        Args:
            number: of the step, from 0.
        """
        factor = learning_rate_factor(number, self._settings)
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        if self._settings.max_grad_norm is not None:
            self._scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.max_grad_norm)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None and self._settings.ema:
            # At the beginning an average over fewer steps: it starts from untrained weights.
            follow(
                self.average, self._network, min(self._settings.ema, (1 + number) / (10 + number))
            )

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


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move an average towards a network: w' = decay w' + (1 - decay) w; counters are copied."""
    for ours, theirs in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if ours.is_floating_point():
            ours.lerp_(theirs, 1 - decay)
        else:
            ours.copy_(theirs)
