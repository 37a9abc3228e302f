"""Our own networks by name, and torchvision's. Legend: C channels, H height, W width, K classes, N images of a batch.

Each takes normalised float images (N, C, H, W) and returns logits (N, K). Max-pooling stands before ReLU: the two commute
exactly, and the rectifier then has a quarter of the values to visit.
"""

import math

import torch
from torch import nn

from classifier.common.errors import UserError
from classifier.compute.seeds import derived_seed
from classifier.networks.layers import Dropout, GlobalMaxPool, PaddedConvolution, ScaledLinear
from classifier.networks.names import TORCHVISION, unfit_images, unknown_network
from classifier.networks.torchvision_networks import build_torchvision
from classifier.networks.whitening import WhitenedPatches

Shape = tuple[int, int, int]


def build_network(name: str, shape_CHW: Shape, num_classes: int, seed: int) -> nn.Module:
    """Make the network `name` with first weights drawn by `seed` (PyTorch's own initialisation, but for softmax).

    Raises UserError for an unknown name, and for images that the network does not work on, naming the size that it needs.
    """
    if problem := unknown_network(name) or unfit_images(name, *shape_CHW[1:]):
        raise UserError(problem)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights"))
        if name in TORCHVISION:
            return build_torchvision(name, shape_CHW, num_classes)
        return _BUILDERS[name](shape_CHW, num_classes)


def count_parameters(network: nn.Module) -> int:
    """Number of trained scalars."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def softmax(shape_CHW: Shape, num_classes: int) -> nn.Module:
    """Softmax regression: one linear layer, its weights and biases drawn from a normal distribution of deviation 0.01."""
    linear = nn.Linear(math.prod(shape_CHW), num_classes)
    for parameter in linear.parameters():
        if not parameter.is_meta:  # of which nothing is drawn, but torch imports its compiler to do so
            nn.init.normal_(parameter, std=0.01)
    return nn.Sequential(nn.Flatten(), linear)


def mlp(shape_CHW: Shape, num_classes: int) -> nn.Module:
    """Two hidden layers of 300 and 100 with ReLU (LeCun et al. 1998, the 784-300-100-10 net, with ReLU for tanh)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape_CHW), 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, num_classes),
    )


def cnn(shape_CHW: Shape, num_classes: int) -> nn.Module:
    """Two unpadded 5x5 convolutions (32, 64), each max-pooled by 2 with dropout 0.3, then a hidden layer of 512."""
    channels, height, width = shape_CHW
    num_features = 64 * _after_two_pools(height) * _after_two_pools(width)
    return nn.Sequential(
        nn.Conv2d(channels, 32, kernel_size=5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        Dropout(0.3),
        nn.Conv2d(32, 64, kernel_size=5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        Dropout(0.3),
        nn.Flatten(),
        nn.Linear(num_features, 512),
        nn.ReLU(),
        nn.Linear(512, num_classes),
    )


def mnist_cnn(shape_CHW: Shape, num_classes: int) -> nn.Module:
    """Two padded 3x3 convolutions (32, 64), each with ReLU and max-pooled by 2, then two hidden layers (1024, 512)."""
    channels, height, width = shape_CHW
    return nn.Sequential(
        nn.Conv2d(channels, 32, kernel_size=3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), 1024),
        nn.ReLU(),
        nn.Linear(1024, 512),
        nn.ReLU(),
        nn.Linear(512, num_classes),
    )


def cifar_cnn(shape_CHW: Shape, num_classes: int) -> nn.Module:
    """Three padded 5x5 convolutions (32, 32, 64), each max-pooled by 2, then a hidden layer of 64; no activation anywhere."""
    channels, height, width = shape_CHW
    return nn.Sequential(
        nn.Conv2d(channels, 32, kernel_size=5, padding=2),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, kernel_size=5, padding=2),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel_size=5, padding=2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (height // 8) * (width // 8), 64),
        nn.Linear(64, num_classes),
    )


def pyramid(shape_CHW: Shape, num_classes: int) -> nn.Module:
    """Whitened 4x4 patches, then 3x3 convolutions: two (64) at 1/2 of the size, one (128) at 1/4, one (256) at 1/8; our own.

    Each convolution is followed by batch normalisation and ReLU; the last of a size, but for 1/8, is max-pooled by 2 before
    that. It starts by handing on its input in its first channels (Zagoruyko & Komodakis 2017). The class scores are one
    linear layer on the largest value of each channel, divided by 8: so they start small whatever the optimizer does.
    """
    return _pyramid(shape_CHW, num_classes, width=64)


def half_pyramid(shape_CHW: Shape, num_classes: int) -> nn.Module:
    """The same with half the channels (32, 64, 128), a quarter of the work: for runs of seconds."""
    return _pyramid(shape_CHW, num_classes, width=32)


def _pyramid(shape_CHW: Shape, num_classes: int, width: int) -> nn.Module:
    patches = WhitenedPatches(shape_CHW[0], size=4, stride=2)
    layers: list[nn.Module] = [
        *(patches, *_norm_and_relu(patches.num_channels)),
        *(_convolution(patches.num_channels, width), *_norm_and_relu(width)),
        *(_convolution(width, width), nn.MaxPool2d(2), *_norm_and_relu(width)),
        *(_convolution(width, 2 * width), nn.MaxPool2d(2), *_norm_and_relu(2 * width)),
        *(_convolution(2 * width, 4 * width), *_norm_and_relu(4 * width)),
    ]
    return nn.Sequential(*layers, GlobalMaxPool(), ScaledLinear(4 * width, num_classes, scale=1 / 8))


def _convolution(in_channels: int, out_channels: int) -> nn.Module:
    convolution = PaddedConvolution(in_channels, out_channels)
    nn.init.dirac_(convolution.weight[:in_channels])
    return convolution


def _norm_and_relu(channels: int) -> list[nn.Module]:
    """Normalised with a short memory (a run has few steps, and the last ones count), then rectified."""
    return [nn.BatchNorm2d(channels, momentum=0.4), nn.ReLU()]


def _after_two_pools(side: int) -> int:
    return ((side - 4) // 2 - 4) // 2


_BUILDERS = {
    "softmax": softmax,
    "mlp": mlp,
    "cnn": cnn,
    "mnist_cnn": mnist_cnn,
    "cifar_cnn": cifar_cnn,
    "pyramid": pyramid,
    "half_pyramid": half_pyramid,
}
