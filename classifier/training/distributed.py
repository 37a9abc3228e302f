"""Several processes that train one network: what they exchange, and batch normalisation over the whole batch."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from classifier.common.errors import PeerLostError, UserError, memory_errors
from classifier.common.process import RankInfo

Value = TypeVar("Value")
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""By the kind of device; metrics and checkpoints go over the CPUs in any case."""
PATIENCE = timedelta(minutes=10)
"""For how long one process waits for another; as torchrun does for other machines."""


@dataclass(frozen=True)
class DistributedContext:
    """`size` processes, of which this one is number `rank`. A call raises PeerLostError when another one is gone."""

    rank: int = 0
    size: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    def shard(self, rows_N: Tensor) -> Tensor:
        """The rows of a batch that this process takes: dealt out one by one, so that no share is larger by more than one."""
        return rows_N if self.size == 1 else rows_N[self.rank :: self.size]

    def shard_slice(self, num_images: int) -> slice:
        """The consecutive images of a data set that this process measures; there may be none."""
        return slice(num_images * self.rank // self.size, num_images * (self.rank + 1) // self.size)

    def all_reduce(self, values: Tensor) -> None:
        """Replace `values` by their sums over all processes, the same bits in each."""
        if self.size > 1:
            with _peer_errors():
                torch.distributed.all_reduce(values)

    def all_gather(self, values: Tensor) -> Tensor:
        """Those of every process, by rank: of shape (size, …)."""
        if self.size == 1:
            return values[None]
        rows = [torch.empty_like(values) for _ in range(self.size)]
        with _peer_errors():
            torch.distributed.all_gather(rows, values)
        return torch.stack(rows)

    def broadcast_object(self, value: Value) -> Value:
        """What the first process passes; what the others pass is not looked at."""
        if self.size == 1:
            return value
        values = [value]
        with _peer_errors():
            torch.distributed.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors by those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                values = tensor.detach().contiguous()
                with _peer_errors():
                    torch.distributed.broadcast(values, src=0)
                tensor.detach().copy_(values)

    def check_same(self, digest: str) -> None:
        """Raise UserError unless all processes pass the same `digest` of what they compute with."""
        if self.size == 1:
            return
        digests: list[str] = [""] * self.size
        with _peer_errors():
            torch.distributed.all_gather_object(digests, digest)
        odd = next((rank for rank, other in enumerate(digests) if other != digests[0]), None)
        if odd is not None:
            raise UserError(
                f"process {odd} of {self.size} has other params, code, data, torch, device or precision than process 0; bring "
                "both folders to one commit and the same params.yaml, and the data with `dvc pull` or `dvc repro build weights`"
            )


SINGLE_PROCESS = DistributedContext()


@contextmanager
def init_distributed(device: torch.device) -> Iterator[DistributedContext]:
    """The processes that torchrun started, this one among them; they meet over gloo, and NCCL between GPUs.

    Raises UserError when the device is not one for several processes, PeerLostError when the others do not come.
    """
    place = RankInfo.from_environment()
    if place.size == 1:
        yield SINGLE_PROCESS
        return
    _check_device(device, place)
    with _peer_errors():
        torch.distributed.init_process_group(BACKENDS[device.type], timeout=PATIENCE)
    yield DistributedContext(place.rank, place.size)
    torch.distributed.destroy_process_group()


def _check_device(device: torch.device, place: RankInfo) -> None:
    if device.type not in BACKENDS:
        raise UserError(f"device {device.type!r} has one process only; write `device: cpu` or `launcher: python`")
    if device.type == "cuda":
        num_devices = torch.cuda.device_count()
        if place.local_rank >= num_devices:
            raise UserError(
                f"launcher: each process needs a GPU of its own, and this machine has {num_devices}; lower --nproc-per-node or "
                "write `device: cpu`"
            )
        torch.cuda.set_device(place.local_rank)


@contextmanager
def _peer_errors() -> Iterator[None]:
    """Say in our words that another process is gone: torch raises a RuntimeError of many kinds."""
    try:
        with memory_errors("batch_size"):
            yield
    except RuntimeError as error:
        raise PeerLostError(
            "another process of this training has ended or cannot be reached; the same command goes on after the last whole "
            "epoch"
        ) from error


class GlobalBatchNorm(_BatchNorm):
    """Takes the place of `layer`, with its parameters and buffers, in each process of `context`. Values are (N, C, …).

    A process may have no image, but all together more than one value of each channel. Means and variances are exchanged in
    float64, whatever the values are.
    """

    def __init__(self, layer: _BatchNorm, context: DistributedContext) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.context = context
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        self.train(layer.training)

    def forward(self, values: Tensor) -> Tensor:
        """Normalise; in training by the statistics of all processes' values, which move the running ones."""
        if not self.training:
            return super().forward(values)
        mean_C, var_C, count = _statistics(values.detach(), self.context)
        self._track(mean_C, var_C * count / (count - 1))
        normalised: Tensor = _Normalise.apply(values, self.weight, self.bias, mean_C, var_C, self.eps, count, self.context)
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
        context: DistributedContext,
    ) -> Tensor:
        dtype = _dtype(values)
        ctx.save_for_backward(values, weight_C, mean_C.to(dtype), (var_C + eps).rsqrt().to(dtype), count)
        ctx.context = context
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
        ctx.context.all_reduce(all_sums_2C)
        mean_2C = (all_sums_2C / count).to(mean_C.dtype)
        scale_C = inverse_std_C if weight_C is None else inverse_std_C * weight_C
        centred = gradient - _wide(mean_2C[0], values) - normalised * _wide(mean_2C[1], values)
        values_gradient = (centred * _wide(scale_C, values)).to(values.dtype)
        if weight_C is None:
            return values_gradient, None, None, None, None, None, None, None
        return values_gradient, weight_gradient_C, bias_gradient_C, None, None, None, None, None


def convert_batch_norms(network: nn.Module, context: DistributedContext) -> None:
    """Put a GlobalBatchNorm into the place of each batch normalisation inside `network`; alone, leave all as it is."""
    if context.size == 1:
        return
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, _BatchNorm) and not isinstance(layer, GlobalBatchNorm):
                setattr(module, name, GlobalBatchNorm(layer, context))


def _statistics(values: Tensor, context: DistributedContext) -> tuple[Tensor, Tensor, Tensor]:
    """Mean_C and biased variance_C of the values of all processes, and their number M, in float64.

    From those of each process, so that no large sums cancel (Chan, Golub & LeVeque 1979).
    """
    count = values.numel() // values.shape[1]
    if count:
        var_C, mean_C = torch.var_mean(values.to(_dtype(values)), dim=_all_but_channels(values), correction=0)
    else:
        var_C = mean_C = values.new_zeros(values.shape[1])
    own = torch.cat((mean_C.double(), var_C.double(), mean_C.new_full((1,), count, dtype=torch.float64)))
    all_R = context.all_gather(own)
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
