"""The largest value of each channel."""

from torch import Tensor, nn


class GlobalMaxPool(nn.Module):
    """(N, C, H, W) to (N, C). Of equal values each gets its share of the gradient; deterministic on every device."""

    def forward(self, values_NCHW: Tensor) -> Tensor:
        """The maxima over height and width."""
        return values_NCHW.amax(dim=(2, 3))
