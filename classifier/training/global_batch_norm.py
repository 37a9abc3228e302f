"""Batch normalisation over the images of all processes. Legend: C channels; M values of a channel, over images and places.

torch's SyncBatchNorm refuses the CPU. This one computes what nn.BatchNorm2d would of the whole batch in one process.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from classifier.training.world import World


class GlobalBatchNorm(_BatchNorm):
    """Takes the place of `layer`, with its parameters and buffers, in each process of `world`. Values are (N, C, …).

    A process may have no image, but all together more than one value of each channel. Means and variances are exchanged in
    float64, whatever the values are.
    """

    def __init__(self, layer: _BatchNorm, world: World) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.world = world
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        self.train(layer.training)

    def forward(self, values: Tensor) -> Tensor:
        """Normalise; in training by the statistics of all processes' values, which move the running ones."""
        if not self.training:
            return super().forward(values)
        mean_C, var_C, count = _statistics(values.detach(), self.world)
        self._track(mean_C, var_C * count / (count - 1))
        normalised: Tensor = _Normalise.apply(values, self.weight, self.bias, mean_C, var_C, self.eps, count, self.world)
        return normalised

    @torch.no_grad()
    def _track(self, mean_C: Tensor, unbiased_var_C: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.double() if self.momentum is None else self.momentum
        for running_C, now_C in ((self.running_mean, mean_C), (self.running_var, unbiased_var_C)):
            running_C += (now_C - running_C) * share

    def _check_input_dim(self, input: Tensor) -> None:
        """Of any number of dimensions."""


class _Normalise(torch.autograd.Function):
    """(values - mean) / sqrt(var + eps) · weight + bias, where mean and variance follow the values of all processes."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight_C: Tensor | None,
        bias_C: Tensor | None,
        mean_C: Tensor,
        var_C: Tensor,
        eps: float,
        count: Tensor,
        world: World,
    ) -> Tensor:
        dtype = _dtype(values)
        ctx.save_for_backward(values, weight_C, mean_C.to(dtype), (var_C + eps).rsqrt().to(dtype), count)
        ctx.world = world
        return batch_norm(values, mean_C.to(dtype), var_C.to(dtype), weight_C, bias_C, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, weight_C, mean_C, inverse_std_C, count = ctx.saved_tensors
        gradient = gradient.to(mean_C.dtype)
        normalised = (values.to(mean_C.dtype) - _wide(mean_C, values)) * _wide(inverse_std_C, values)
        dims = _all_but_channels(values)
        sums_2C = torch.stack((gradient.sum(dims), (gradient * normalised).sum(dims)))
        bias_gradient_C, weight_gradient_C = sums_2C
        all_sums_2C = sums_2C.to(torch.float64, copy=True)
        ctx.world.add_up(all_sums_2C)
        mean_2C = (all_sums_2C / count).to(mean_C.dtype)
        scale_C = inverse_std_C if weight_C is None else inverse_std_C * weight_C
        moved = gradient - _wide(mean_2C[0], values) - normalised * _wide(mean_2C[1], values)
        values_gradient = (moved * _wide(scale_C, values)).to(values.dtype)
        if weight_C is None:
            return values_gradient, None, None, None, None, None, None, None
        return values_gradient, weight_gradient_C, bias_gradient_C, None, None, None, None, None


def with_global_batch_norms(network: nn.Module, world: World) -> None:
    """Put a GlobalBatchNorm into the place of each batch normalisation inside `network`; alone, leave all as it is."""
    if world.size == 1:
        return
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, _BatchNorm) and not isinstance(layer, GlobalBatchNorm):
                setattr(module, name, GlobalBatchNorm(layer, world))


def _statistics(values: Tensor, world: World) -> tuple[Tensor, Tensor, Tensor]:
    """Mean_C and biased variance_C of the values of all processes, and their number M, in float64.

    From those of each process, so that no large sums cancel (Chan, Golub & LeVeque 1979).
    """
    count = values.numel() // values.shape[1]
    if count:
        var_C, mean_C = torch.var_mean(values.to(_dtype(values)), dim=_all_but_channels(values), correction=0)
    else:
        var_C = mean_C = values.new_zeros(values.shape[1])
    own = torch.cat((mean_C.double(), var_C.double(), mean_C.new_full((1,), count, dtype=torch.float64)))
    all_R = world.gathered(own)
    mean_RC, var_RC, count_R1 = all_R[:, : len(mean_C)], all_R[:, len(mean_C) : -1], all_R[:, -1:]
    num_values = count_R1.sum()  # a tensor: to read the number would wait for the device
    mean_C = (mean_RC * count_R1).sum(dim=0) / num_values
    var_C = ((var_RC + (mean_RC - mean_C).square()) * count_R1).sum(dim=0) / num_values
    return mean_C, var_C, num_values


def _dtype(values: Tensor) -> torch.dtype:
    """In which statistics are computed: that of the values, but at least float32."""
    return torch.promote_types(values.dtype, torch.float32)


def _all_but_channels(values: Tensor) -> list[int]:
    return [dim for dim in range(values.ndim) if dim != 1]


def _wide(values_C: Tensor, values: Tensor) -> Tensor:
    return values_C.reshape(1, -1, *(1 for _ in values.shape[2:]))
