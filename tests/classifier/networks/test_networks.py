"""The networks: sizes worked out by hand, functions compared with the plain form."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from classifier.common.errors import UserError
from classifier.networks.names import SMALLEST_IMAGE
from classifier.networks.own import build_network, count_parameters


@pytest.mark.parametrize(
    ("name", "shape_CHW", "num_classes", "expected"),
    [
        ("softmax", (1, 28, 28), 10, 784 * 10 + 10),
        ("mlp", (1, 28, 28), 10, (784 * 300 + 300) + (300 * 100 + 100) + (100 * 10 + 10)),
        ("cnn", (1, 28, 28), 10, (25 * 32 + 32) + (25 * 32 * 64 + 64) + (64 * 4 * 4 * 512 + 512) + (512 * 10 + 10)),
        (
            "pyramid",
            (1, 28, 28),
            10,
            2 * 32 + 9 * (32 * 64 + 64 * 64 + 64 * 128 + 128 * 256) + 2 * (2 * 64 + 128 + 256) + 2560,
        ),
        ("softmax", (3, 32, 32), 7, 3072 * 7 + 7),
        ("mnist_cnn", (1, 28, 28), 10, (9 * 32 + 32) + (9 * 32 * 64 + 64) + (3136 * 1024 + 1024) + (1024 * 512 + 512) + 5130),
        ("cifar_cnn", (3, 32, 32), 10, (75 * 32 + 32) + (800 * 32 + 32) + (800 * 64 + 64) + (1024 * 64 + 64) + (64 * 10 + 10)),
        ("mlp", (3, 8, 9), 3, (216 * 300 + 300) + (300 * 100 + 100) + (100 * 3 + 3)),
        ("cnn", (3, 32, 32), 100, (75 * 32 + 32) + (800 * 64 + 64) + (64 * 5 * 5 * 512 + 512) + (512 * 100 + 100)),
    ],
)
def test_the_number_of_parameters(name: str, shape_CHW: tuple[int, int, int], num_classes: int, expected: int) -> None:
    network = build_network(name, shape_CHW, num_classes, seed=0)
    assert count_parameters(network) == expected


def test_the_published_counts_for_28x28() -> None:
    counts = {name: count_parameters(build_network(name, (1, 28, 28), 10, seed=0)) for name in SMALLEST_IMAGE}
    assert counts == {
        "softmax": 7_850,
        "mlp": 266_610,
        "cnn": 582_026,
        "mnist_cnn": 3_761_034,
        "cifar_cnn": 115_306,
        "pyramid": 2 * 32 + 9 * (32 * 64 + 64 * 64 + 64 * 128 + 128 * 256) + 2 * (2 * 64 + 128 + 256) + 2560,
        "half_pyramid": 2 * 32 + 9 * (32 * 32 * 2 + 32 * 64 + 64 * 128) + 2 * (2 * 32 + 64 + 128) + 1280,
    }


class Calls(TorchFunctionMode):
    """The names of what is called of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", SMALLEST_IMAGE)
def test_a_network_without_memory_draws_from_no_normal_distribution(name: str) -> None:
    """For that alone torch 2.14 imports its compiler, with Triton and SymPy: 1.6 seconds of each `evaluate`."""
    with Calls() as calls, torch.device("meta"):
        build_network(name, (1, 28, 28), 10, seed=0)
    assert calls.names, "the calls are seen"
    assert "normal_" not in calls.names


@pytest.mark.parametrize("channels", [1, 3])
def test_the_convolutions_of_the_pyramid_begin_by_handing_on_their_input(channels: int) -> None:
    """Also where the whitened patches have more channels (96 in colour) than the first convolution (64)."""
    convolutions = [layer for layer in build_network("pyramid", (channels, 8, 8), 10, seed=0) if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 4
    for convolution in convolutions:
        images_NCHW = torch.randn(2, convolution.in_channels, 5, 5)
        handed_on = min(convolution.in_channels, convolution.out_channels)
        assert torch.equal(convolution(images_NCHW)[:, :handed_on], images_NCHW[:, :handed_on])
        assert bool(convolution.weight[handed_on:].abs().sum() > 0) == (handed_on < convolution.out_channels)


def test_the_published_count_of_the_cifar_cnn() -> None:
    assert count_parameters(build_network("cifar_cnn", (3, 32, 32), 10, seed=0)) == 145_578


@pytest.mark.parametrize("name", SMALLEST_IMAGE)
@pytest.mark.parametrize("extra", [0, 1, 2, 3, 12])
def test_from_the_smallest_image_on_the_logits_have_one_column_a_class(name: str, extra: int) -> None:
    side = SMALLEST_IMAGE[name] + extra
    network = build_network(name, (2, side, side + 1), 5, seed=0).eval()
    assert network(torch.randn(3, 2, side, side + 1)).shape == (3, 5)


def test_one_pixel_less_than_the_smallest_is_refused_with_that_number() -> None:
    with pytest.raises(UserError, match=r"network 'cnn' needs images of 16x16 pixels or more, got 15x28; set `image_size: 16`"):
        build_network("cnn", (1, 15, 28), 10, seed=0)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UserError, match=r"network must be one of softmax, .*, or of torchvision's, got 'resnet'; did you mean 'resnet50' or"
    ):
        build_network("resnet", (1, 28, 28), 10, seed=0)


def test_the_seed_alone_decides_the_first_weights_and_the_global_generator_is_left_as_it_was() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = build_network("mlp", (1, 4, 4), 3, seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    again = build_network("mlp", (1, 4, 4), 3, seed=7).state_dict()
    other = build_network("mlp", (1, 4, 4), 3, seed=8).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_softmax_begins_with_small_normal_weights_and_biases() -> None:
    """39,250 draws: their mean is within 0.0002 of 0, their deviation within 1 % of 0.01, by four standard errors."""
    weight, bias = build_network("softmax", (1, 28, 28), 50, seed=0).parameters()
    assert abs(weight.mean().item()) < 2e-4
    assert weight.std().item() == pytest.approx(0.01, rel=0.015)
    assert 0.006 < bias.std().item() < 0.015


def test_the_mnist_cnn_is_the_tutorial_network_to_the_bit() -> None:
    """The tutorial's order is conv, ReLU, pool; ours is conv, pool, ReLU."""
    network = build_network("mnist_cnn", (1, 28, 28), 10, seed=0)
    conv1, _, _, conv2, _, _, _, hidden1, _, hidden2, _, scores = network.children()
    pool = nn.MaxPool2d(2)
    plain = nn.Sequential(
        *(conv1, nn.ReLU(), pool, conv2, nn.ReLU(), pool, nn.Flatten()),
        *(hidden1, nn.ReLU(), hidden2, nn.ReLU(), scores),
    )
    _assert_the_same_function(network, plain, torch.randn(16, 1, 28, 28, generator=torch.Generator().manual_seed(0)))


def test_the_cifar_cnn_is_linear_but_for_its_pooling() -> None:
    """Its parts as plain functions; and of a factor above 0 the logits without biases are that multiple."""
    network = build_network("cifar_cnn", (3, 32, 32), 10, seed=0).double()
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = list(network.parameters())
    values = images
    for weight, bias in zip(weights[0:6:2], weights[1:6:2], strict=True):
        values = nn.functional.max_pool2d(nn.functional.conv2d(values, weight, bias, padding=2), 2)
    values = (values.flatten(1) @ weights[6].T + weights[7]) @ weights[8].T + weights[9]
    torch.testing.assert_close(network(images), values)
    for bias in weights[1::2]:
        nn.init.zeros_(bias)
    torch.testing.assert_close(network(3 * images), 3 * network(images))


def test_pooling_before_relu_is_the_tutorial_network_to_the_bit() -> None:
    """The tutorial's order is conv, ReLU, pool; ours is conv, pool, ReLU."""
    network = build_network("cnn", (1, 28, 28), 10, seed=0).eval()
    layers = list(network.children())
    plain = nn.Sequential(
        layers[0],
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        layers[4],
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        *layers[8:],
    ).eval()
    _assert_the_same_function(network, plain, torch.randn(16, 1, 28, 28, generator=torch.Generator().manual_seed(0)))


def _assert_the_same_function(network: nn.Module, plain: nn.Module, images: torch.Tensor) -> None:
    """To the bit, gradients included."""
    ours, theirs = network(images), plain(images)
    assert torch.equal(ours, theirs)
    our_gradients = torch.autograd.grad(ours.square().sum(), list(network.parameters()))
    their_gradients = torch.autograd.grad(theirs.square().sum(), list(network.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(our_gradients, their_gradients, strict=True))
