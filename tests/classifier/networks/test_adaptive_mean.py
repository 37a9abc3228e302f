"""The pooling against torch's own."""

import pytest
import torch
from torch import nn

from classifier.networks.layers import AdaptiveMean


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize("size", [(7, 7), (1, 1), (3, 20), (14, 15), (6, 9)])
def test_values_and_gradients_are_those_of_torch(side: int, size: tuple[int, int]) -> None:
    values = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours, theirs = AdaptiveMean(side)(values), nn.AdaptiveAvgPool2d(side)(values)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn(ours.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    our_gradient, their_gradient = (torch.autograd.grad((pooled * weights).sum(), values)[0] for pooled in (ours, theirs))
    torch.testing.assert_close(our_gradient, their_gradient)
