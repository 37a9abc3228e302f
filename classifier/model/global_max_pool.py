"""The largest value of each channel."""

from torch import Tensor, nn
from torch.nn.functional import max_pool2d


class GlobalMaxPool(nn.Module):
    """(N, C, H, W) to (N, C). Of equal values the first gets the gradient; deterministic on every device.

    Not by `amax`, whose backward pass compares the values with the maximum once more: compiled for a GPU they are computed
    anew without the rounding to bfloat16, none is the maximum, and the gradient is 0 / 0.
    """

    def forward(self, values_NCHW: Tensor) -> Tensor:
        """The maxima over height and width."""
        return max_pool2d(values_NCHW, kernel_size=values_NCHW.shape[2:]).flatten(1)
