"""A first layer that is fitted instead of trained. Legend: N images, C channels, H height, W width, P values of a patch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, unfold

NOISE_SHARE = 0.01
"""Of the largest variance, added to every variance before its root is divided by: what is mostly noise stays small."""
MAX_IMAGES = 5000
MAX_VALUES = MAX_IMAGES * 3 * 32 * 32
"""To fit to: each takes some 80 bytes meanwhile, and a single photograph has thousands of patches."""


class WhitenedPatches(nn.Module):
    """Every patch of an image by its whitened principal components and their negatives, so that ReLU keeps both signs.

    (N, C, H, W) to (N, 2·C·size², H/stride, W/stride), rounded down. After Page 2019 and Jordan 2024 (airbench). The filters
    are buffers: `fit` sets them once, from images, and no optimizer moves them.
    """

    filters_OChw: Tensor

    def __init__(self, channels: int, size: int, stride: int) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride, (size - stride) // 2
        self.num_channels = 2 * channels * size**2
        self.register_buffer("filters_OChw", torch.zeros(self.num_channels, channels, size, size))

    @torch.no_grad()
    def fit(self, images_NCHW: Tensor) -> None:
        """Find the components of these images (normalised, as in training): eigenvectors of the patches' second moments.

        They are sorted by falling variance, and each has its largest entry positive, which eigenvectors leave open.
        """
        patches_NPL = unfold(images_NCHW.double(), self.size, padding=self.padding, stride=self.stride)
        patches_MP = patches_NPL.transpose(1, 2).flatten(0, 1)
        variances_P, vectors_PP = torch.linalg.eigh(patches_MP.T @ patches_MP / len(patches_MP))
        noise = (NOISE_SHARE * variances_P[-1]).clamp(min=torch.finfo(torch.float32).tiny)
        components_PP = (vectors_PP / (variances_P.clamp(min=0) + noise).sqrt()).T.flip(0)
        largest_P1 = components_PP.gather(1, components_PP.abs().argmax(dim=1, keepdim=True))
        components_PP = components_PP * largest_P1.sign()
        self.filters_OChw.copy_(torch.cat((components_PP, -components_PP)).reshape(self.filters_OChw.shape))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Apply the filters."""
        return conv2d(images_NCHW, self.filters_OChw, stride=self.stride, padding=self.padding)


def rows_to_fit(num_images: int, num_values: int) -> Tensor:
    """Which of `num_images` images, of `num_values` values each, a layer is fitted to: MAX_IMAGES and MAX_VALUES at most.

    They are spread evenly over all: in a data set made from a folder the images lie class by class.
    """
    num_rows = min(num_images, MAX_IMAGES, max(1, MAX_VALUES // num_values))
    return torch.arange(num_rows) * num_images // num_rows


def fit_first_layer(network: nn.Module, normalised_images: Callable[[], Tensor]) -> None:
    """Fit every WhitenedPatches of `network` to images_NCHW, normalised as in training.

    They are asked for only where there is such a layer: thousands of photographs as floats fill gigabytes.
    """
    for layer in network.modules():
        if isinstance(layer, WhitenedPatches):
            layer.fit(normalised_images())
