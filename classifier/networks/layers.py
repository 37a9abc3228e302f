"""The layers of our networks. Legend: N images, C and O channels, H height, W width, S side of a pooled map."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad

from classifier.compute.device import bfloat16_instructions
from classifier.compute.seeds import generator


class AdaptiveMean(nn.Module):
    """(N, C, H, W) to (N, C, S, S), as nn.AdaptiveAvgPool2d, whose gradient is not deterministic on CUDA.

    Output i is the mean of the rows from ⌊i·H / S⌋ to ⌈(i + 1)·H / S⌉, without the last, and likewise of columns.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, values_NCHW: Tensor) -> Tensor:
        """Apply it; values of that size already stay as they are."""
        for dim in (2, 3):
            side = values_NCHW.shape[dim]
            if side != self.side:
                bins = [(i * side // self.side, -(-(i + 1) * side // self.side)) for i in range(self.side)]
                means = [values_NCHW.narrow(dim, start, end - start).mean(dim, keepdim=True) for start, end in bins]
                values_NCHW = torch.cat(means, dim)
        return values_NCHW


class GlobalMaxPool(nn.Module):
    """(N, C, H, W) to (N, C). Of equal values the first gets the gradient; deterministic on every device.

    Not by `amax`, whose backward pass compares the values with the maximum once more: compiled for a GPU they are computed
    anew without the rounding to bfloat16, none is the maximum, and the gradient is 0 / 0.
    """

    def forward(self, values_NCHW: Tensor) -> Tensor:
        """The maxima over height and width."""
        return max_pool2d(values_NCHW, kernel_size=values_NCHW.shape[2:]).flatten(1)


class ScaledLinear(nn.Linear):
    """`scale` times a linear layer without bias; its gradient shrinks with it."""

    def __init__(self, in_features: int, out_features: int, scale: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.scale = scale

    def forward(self, values_NF: Tensor) -> Tensor:
        """Apply it to (N, in_features); return (N, out_features)."""
        return super().forward(values_NF) * self.scale


DRAWS_PER_WORD = 4
NUM_DRAWS = 2**16
"""A draw is one of 2¹⁶ equally likely numbers."""
BFLOAT16_ONE = 0x3F80
"""The bits of 1.0."""


class Dropout(nn.Module):
    """Set a share `rate` of the values to 0 in training, and divide the others by the kept share (Srivastava et al. 2014).

    The rate is rounded to 16 bits, and the division is by the rounded share: the mean stays exact. Which values go depends on
    the image's key in `keys_N` and on the value's place alone: they are the same in whatever batch and memory layout, on
    whatever device, and with any number of threads. `DropoutKeys.choose` comes before every step of training.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.num_dropped = round(rate * NUM_DRAWS)
        if not 0 < self.num_dropped < NUM_DRAWS:
            raise ValueError(f"needs a rate above 0 and below 1, got {rate}")
        self.scale = NUM_DRAWS / (NUM_DRAWS - self.num_dropped)
        self.keys_N: Tensor | None = None

    def choose(self, keys_N: Tensor) -> None:
        """The next batch is the images of these keys."""
        self.keys_N = keys_N

    def forward(self, values: Tensor) -> Tensor:
        """Apply it to (N, C) or (N, C, H, W), best channels-last in memory; return the same shape."""
        if not self.training:
            return values
        assert self.keys_N is not None, "no keys were chosen"
        return values * self._mask(self.keys_N, values) * self.scale

    def _mask(self, keys_N: Tensor, values: Tensor) -> Tensor:
        """1 where a value is kept and 0 where not, like `values`."""
        channels, *sides = values.shape[1:]
        num_values = values[0].numel()
        words_NQ = split_mix(keys_N, -(-num_values // DRAWS_PER_WORD))
        draws_NM = words_NQ.view(torch.int16)[:, :num_values]
        # Comparing and converting from bool is slow on CPUs; bounds and whole-number products are not.
        least = self.num_dropped - NUM_DRAWS // 2
        kept_NM = draws_NM.clamp(least - 1, least).sub_(least - 1).mul_(BFLOAT16_ONE).view(torch.bfloat16)
        return kept_NM.view(-1, *sides, channels).movedim(-1, 1).to(values.dtype)


class StochasticDepth(Dropout):
    """Set all values of a share `rate` of the images to 0 (Huang et al. 2016), and divide the others by the kept share.

    Each call since the keys were chosen draws anew: a block may hand its branches through the same layer, one after the other.
    """

    num_calls = 0

    def choose(self, keys_N: Tensor) -> None:
        """The next batch is the images of these keys."""
        super().choose(keys_N)
        self.num_calls = 0

    def _mask(self, keys_N: Tensor, values: Tensor) -> Tensor:
        """1 for an image that is kept and 0 for one that is not, of shape (N, 1, …)."""
        self.num_calls += 1
        kept_NM = super()._mask(keys_N, values.new_empty((len(values), self.num_calls)))
        return kept_NM[:, -1].view(-1, *(1 for _ in values.shape[1:]))


class DropoutKeys:
    """A key for each image and each dropout layer of `network`, drawn for (seed, epoch)."""

    def __init__(self, network: nn.Module, num_images: int, seed: int, epoch: int, device: torch.device) -> None:
        self.layers = [layer for layer in network.modules() if isinstance(layer, Dropout)]
        self.keys = [
            torch.empty(num_images, dtype=torch.int64)
            .random_(-(2**63), None, generator=generator(seed, "dropout", number, epoch))
            .to(device)
            for number, _ in enumerate(self.layers)
        ]

    def choose(self, rows_N: Tensor) -> None:
        """The next batch is the images `rows_N` of the data set."""
        for layer, keys in zip(self.layers, self.keys, strict=True):
            layer.choose(keys[rows_N])


def split_mix(keys_N: Tensor, num_words: int) -> Tensor:
    """The first words_NQ (int64, all 64 bits random) of SplitMix64 from each state of `keys_N` (Steele, Lea & Flood 2014)."""
    counters_Q = torch.arange(1, num_words + 1, device=keys_N.device) * _to_signed(0x9E3779B97F4A7C15)
    words_NQ = keys_N[:, None] + counters_Q
    words_NQ ^= _shift_right(words_NQ, 30)
    words_NQ *= _to_signed(0xBF58476D1CE4E5B9)
    words_NQ ^= _shift_right(words_NQ, 27)
    words_NQ *= _to_signed(0x94D049BB133111EB)
    words_NQ ^= _shift_right(words_NQ, 31)
    return words_NQ


def _shift_right(words: Tensor, bits: int) -> Tensor:
    """With zeros coming in: torch's own shift of int64 repeats the sign."""
    return (words >> bits).bitwise_and_(2 ** (64 - bits) - 1)


def _to_signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


WIDEST_SLOW = 8
"""Up to this width oneDNN's kernel for the gradient of the weights leaves most of a register empty."""
WIDEST_ROW = 100
"""Pixels of images side by side: more of them gains nothing."""


class PaddedConvolution(nn.Conv2d):
    """3x3, with a padding of one pixel and no bias: keeps height and width. The function is nn.Conv2d's.

    In bfloat16 on an x86 CPU the gradient of the weights is computed of images side by side, where they are small.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1, bias=False)

    def forward(self, values_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) to (N, O, H, W)."""
        if _learns_in_bfloat16(values_NCHW) and values_NCHW.shape[3] <= WIDEST_SLOW:
            convolved: Tensor = _SideBySide.apply(values_NCHW.bfloat16(), self.weight.bfloat16())
            return convolved
        return super().forward(values_NCHW)


def _learns_in_bfloat16(values: Tensor) -> bool:
    """Asked first whether it is being compiled: torch cannot compile the question what the processor has."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and torch.is_grad_enabled()
        and values.device.type == "cpu"
        and values.dtype != torch.float64  # autocast leaves these alone
        and torch.is_autocast_enabled("cpu")
        and bfloat16_instructions() in ("amx_bf16", "avx512_bf16")
    )


class _SideBySide(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values_NCHW: Tensor, weight_OChw: Tensor) -> Tensor:
        ctx.save_for_backward(values_NCHW, weight_OChw)
        return conv2d(values_NCHW, weight_OChw, padding=1)

    @staticmethod
    def backward(ctx: Any, gradient_NOHW: Tensor) -> tuple[Tensor | None, Tensor | None]:
        values_NCHW, weight_OChw = ctx.saved_tensors
        of_values, of_weight = ctx.needs_input_grad
        return (
            _gradients(gradient_NOHW, values_NCHW, weight_OChw, [True, False])[0] if of_values else None,
            _gradients(side_by_side(gradient_NOHW), side_by_side(values_NCHW), weight_OChw, [False, True])[1]
            if of_weight
            else None,
        )


def _gradients(
    gradient_NOHW: Tensor, values_NCHW: Tensor, weight_OChw: Tensor, wanted: list[bool]
) -> tuple[Tensor | None, Tensor | None, None]:
    ones = [1, 1]
    gradients: tuple[Tensor | None, Tensor | None, None] = torch.ops.aten.convolution_backward(
        gradient_NOHW, values_NCHW, weight_OChw, None, ones, ones, ones, False, [0, 0], 1, [*wanted, False]
    )
    return gradients


def side_by_side(values_NCHW: Tensor) -> Tensor:
    """(N, C, H, W) to (N / k, C, H, k·(W + 1)): k images in a row, a column of zeros behind each, channels last in memory.

    So a kernel of 3x3 never sees two images at once. k divides N, and a row has WIDEST_ROW pixels at most.
    """
    num_images, channels, height, width = values_NCHW.shape
    most = min(num_images, WIDEST_ROW // (width + 1))
    in_a_row = next((count for count in range(most, 1, -1) if num_images % count == 0), 1)
    apart_NHWC = pad(values_NCHW.permute(0, 2, 3, 1), (0, 0, 0, 1))
    rows = apart_NHWC.view(num_images // in_a_row, in_a_row, height, width + 1, channels).transpose(1, 2)
    return rows.reshape(num_images // in_a_row, height, in_a_row * (width + 1), channels).permute(0, 3, 1, 2)
