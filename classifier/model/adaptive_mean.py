"""Mean pooling to a given size. Legend: N images, C channels, H height, W width, S side of the output."""

import torch
from torch import Tensor, nn


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
