"""3x3 convolutions whose weights learn fast on CPUs with AMX. Legend: N images, C and O channels, H height, W width."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from classifier.model.precision import bfloat16_instructions

WIDEST_SLOW = 8
"""Up to this width oneDNN's kernel for the gradient of the weights leaves most of an AMX tile empty."""
WIDEST_ROW = 100
"""Pixels of images side by side: more of them gains nothing."""


class PaddedConvolution(nn.Conv2d):
    """3x3, with a padding of one pixel and no bias: keeps height and width. The function is nn.Conv2d's.

    In bfloat16 on a CPU with AMX the gradient of the weights is computed of images side by side, where they are small.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1, bias=False)

    def forward(self, values_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) to (N, O, H, W)."""
        if _learns_on_amx(values_NCHW) and values_NCHW.shape[3] <= WIDEST_SLOW:
            convolved: Tensor = _SideBySide.apply(values_NCHW.bfloat16(), self.weight.bfloat16())
            return convolved
        return super().forward(values_NCHW)


def _learns_on_amx(values: Tensor) -> bool:
    """Asked first whether it is being compiled: torch cannot compile the question what the processor has."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and torch.is_grad_enabled()
        and values.device.type == "cpu"
        and values.dtype != torch.float64  # autocast leaves these alone
        and torch.is_autocast_enabled("cpu")
        and bfloat16_instructions() == "amx_bf16"
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
