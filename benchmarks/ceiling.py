"""What this machine does at best: rates of matrix products and of 3x3 convolutions, forward, in one process."""

import time
from collections.abc import Callable

import torch
from torch.nn.functional import conv2d

SIDE = 2048
"""Of the square matrices."""
NUM_IMAGES = 256
CHANNELS = {1: 28, 32: 28, 64: 14, 128: 14, 256: 7}
"""Channels in to the side of the images; as many channels come out, 32 at least."""
SECONDS = 0.15
"""At least so long is each operation repeated."""
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@torch.inference_mode()
def rates() -> dict[str, float]:
    """GFLOP/s by operation."""
    return {f"{operation}, {name}": rate for name in DTYPES for operation, rate in _rates_of(DTYPES[name]).items()}


def _rates_of(dtype: torch.dtype) -> dict[str, float]:
    matrix = torch.randn(SIDE, SIDE, dtype=dtype)
    measured = {"matrix product": _rate(lambda: matrix @ matrix, 2 * SIDE**3)}
    for channels, side in CHANNELS.items():
        out_channels = max(channels, 32)
        images = torch.randn(NUM_IMAGES, channels, side, side, dtype=dtype).to(memory_format=torch.channels_last)
        kernels = torch.randn(out_channels, channels, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
        flops = 2 * 9 * channels * out_channels * NUM_IMAGES * side**2
        name = f"3x3 convolution of {channels} to {out_channels} channels"
        measured[name] = _rate(_convolution(images, kernels), flops)
    return measured


def _convolution(images: torch.Tensor, kernels: torch.Tensor) -> Callable[[], torch.Tensor]:
    return lambda: conv2d(images, kernels, padding=1)


def _rate(operation: Callable[[], object], flops: int) -> float:
    operation()
    start, count = time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < SECONDS or not count:
        operation()
        count += 1
    return flops * count / seconds / 1e9
