"""Batch normalisation over the batches of all processes of a training.

torch's own works on GPUs; on CPUs the one here does the same.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from fedseg.models.libraries import timm


def synchronise_norms(network: nn.Module, device: torch.device) -> nn.Module:
    """Let the batch normalisations of a network use the statistics of all processes.

    The names of its weights stay. At least two processes must have been started.
    """
    if device.type == "cuda":
        convert: Any = timm.layers.convert_sync_batchnorm  # type: ignore[attr-defined]
        synchronised: nn.Module = convert(network)
        return synchronised
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__class__ = SyncBatchNormOnCpu
    return network


class SyncBatchNormOnCpu(nn.BatchNorm2d):
    """`torch.nn.SyncBatchNorm` for CPUs, and for timm's that go together with an activation.

    Used in training only.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """float32 [N, C, H, W], normalised."""
        variance, mean = torch.var_mean(inputs.detach(), (0, 2, 3), correction=0)
        count = inputs.new_full((1,), inputs.numel() / len(mean))
        sums = _summed(torch.cat([mean * count, (variance + mean.square()) * count, count]))
        count, mean = sums[-1], sums[: len(mean)] / sums[-1]
        variance = sums[len(mean) : -1] / count - mean.square()
        if self.track_running_stats:
            self._follow(mean, variance * count / (count - 1))
        outputs = _Normalise.apply(inputs, self.weight, self.bias, mean, variance, count, self.eps)
        for following in ("drop", "act"):  # of `timm.layers.BatchNormAct2d`
            outputs = getattr(self, following, nn.Identity())(outputs)
        return outputs

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards a batch's."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum
        if share is None:  # a plain average over all batches
            share = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Normalise(torch.autograd.Function):
    """Normalisation by statistics of which the inputs of all processes are part.

    Its gradient: Ioffe and Szegedy, arXiv 1502.03167, section 3, with sums over all processes.
    """

    @staticmethod
    def forward(
        context: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        context.save_for_backward(inputs, weight, mean, variance, count)
        context.eps = eps
        return F.batch_norm(inputs, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, mean, variance, count = context.saved_tensors
        # As if the statistics were constants: the sums of g x' and g, x' being normalised inputs.
        direct, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], inputs, weight, mean, variance, None, None, False, context.eps, [True] * 3
        )
        scale = (variance + context.eps).rsqrt()
        of_weight, of_bias = _summed(torch.stack([by_weight, by_bias])) / count
        # What they change: w s (mean of g + x' times the mean of g x'), a line in the inputs.
        slope = weight * scale.square() * of_weight
        height = weight * scale * of_bias - slope * mean
        shape = (1, -1, 1, 1)
        by_inputs = torch.addcmul(direct - height.view(shape), inputs, slope.view(shape), value=-1)
        return by_inputs, by_weight, by_bias, None, None, None, None


def _summed(value: Tensor) -> Tensor:
    """The sum over all processes."""
    distributed.all_reduce(value)
    return value
