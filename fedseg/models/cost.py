"""What a model asks of the machine that runs it, counted without memory or arithmetic."""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from fedseg.config import Model
from fedseg.errors import FedsegError, first_line
from fedseg.models.build import outline_model


class Cost(NamedTuple):
    """Cost of running a model on one image."""

    operations: int
    """Floating-point operations of convolutions and products of matrices."""
    memory: int
    """Bytes of the largest tensor on the way."""


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    nbytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        sizes = (item.nbytes for item in tree_leaves(made) if isinstance(item, torch.Tensor))
        self.nbytes = max(self.nbytes, *sizes, 0)
        return made


@lru_cache(maxsize=64)
def image_cost(model: Model, size: tuple[int, int]) -> Cost:
    """What one image of a size costs a model, whatever its weights are.

    Raises:
        FedsegError: it can't be built, or can't take such an image.
    """
    network = outline_model(model.plain).eval()
    image = torch.zeros(1, 3, *size, device="meta")
    counter = FlopCounterMode(display=False)
    largest = _Largest()  # type: ignore[no-untyped-call]
    try:
        with torch.no_grad(), counter, largest:
            network(image)
    except Exception as error:  # a model may raise anything
        raise FedsegError(
            f"what {model.arch} with encoder {model.encoder} costs can't be counted: "
            f"{first_line(error)}"
        ) from None
    return Cost(counter.get_total_flops(), largest.nbytes)
