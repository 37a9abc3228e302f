"""Convolutions in bfloat16 on x86: nn.Conv2d's function and gradients, to the bit where the same kernels compute them."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from classifier.compute.device import bfloat16_instructions
from classifier.networks import layers as convolution
from classifier.networks.layers import WIDEST_ROW, PaddedConvolution, side_by_side

HAS_BFLOAT16 = bfloat16_instructions() != "emulated"


@pytest.fixture(autouse=True)
def amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this CPU had it."""
    monkeypatch.setattr(convolution, "bfloat16_instructions", lambda: "amx_bf16")


def values(num_images: int, channels: int, side: int, seed: int) -> Tensor:
    drawn = torch.randn(num_images, channels, side, side, generator=torch.Generator().manual_seed(seed))
    return drawn.bfloat16().contiguous(memory_format=torch.channels_last)


def learned(layer: nn.Conv2d, forward: type[nn.Conv2d], images: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, str]:
    """What `forward` makes of the images, the gradients of images and weights, and the name of what computes them."""
    images = images.clone().requires_grad_()
    layer.weight.grad = None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        convolved = forward.forward(layer, images)
    convolved.backward(gradient)
    assert images.grad is not None and layer.weight.grad is not None and convolved.grad_fn is not None
    return convolved, images.grad, layer.weight.grad, type(convolved.grad_fn).__name__


@pytest.mark.parametrize(("num_images", "side"), [(60, 3), (60, 7), (13, 4), (1, 8), (59, 2), (30, 9)])
def test_it_is_an_ordinary_convolution(num_images: int, side: int) -> None:
    layer = PaddedConvolution(5, 6).to(memory_format=torch.channels_last)
    images, gradient = values(num_images, 5, side, 0), values(num_images, 6, side, 1)
    ours = learned(layer, PaddedConvolution, images, gradient)
    plain = learned(layer, nn.Conv2d, images, gradient)
    assert ours[3] == ("_SideBySideBackward" if side <= 8 else plain[3])
    assert torch.equal(ours[0], plain[0])
    assert torch.equal(ours[1], plain[1])
    exact = conv2d_weight(images.double(), (6, 5, 3, 3), gradient.double(), padding=1)
    bounds = [max_error(num_rows) for num_rows in (len(side_by_side(images)) if side <= 8 else num_images, num_images)]
    for found, bound in zip((ours[2], plain[2]), bounds, strict=True):
        assert ((found - exact).norm() / exact.norm()).item() < bound
    gradient[-1, :, -1, -1] = 0
    without_a_pixel = conv2d_weight(images.double(), (6, 5, 3, 3), gradient.double(), padding=1)
    assert ((without_a_pixel - exact).norm() / exact.norm()).item() > bounds[0], "too wide a bound to see a pixel left out"


def max_error(num_rows: int) -> float:
    """Of a gradient of weights, as a share of its norm. bfloat16 has eight bits: rounding once costs 1.7e-3.

    A CPU that has bfloat16 adds in float32 and rounds once. Where it is emulated, the sum is rounded after each row of images,
    when it has grown with the root of those added: sqrt((num_rows + 1) / 2) times as much in all, and so it was measured.
    """
    return 4e-3 if HAS_BFLOAT16 else 2.2e-3 * math.sqrt((num_rows + 1) / 2)


def test_no_images_have_no_gradient() -> None:
    layer = PaddedConvolution(5, 6)
    assert not learned(layer, PaddedConvolution, values(0, 5, 3, 0), values(0, 6, 3, 1))[2].any()


def test_only_the_training_in_bfloat16_takes_the_long_way_round() -> None:
    layer, images = PaddedConvolution(2, 3), values(4, 2, 3, 0)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(images).grad_fn is None
    assert type(layer(images.float()).grad_fn).__name__ == "ConvolutionBackward0"


def test_it_compiles_in_one_piece() -> None:
    """With every break of the graph an error; the kernel that torch compiles is the plain one."""
    layer = PaddedConvolution(5, 6).to(memory_format=torch.channels_last)
    compiled = torch.compile(layer, backend="eager", fullgraph=True, dynamic=False)
    images, gradient = values(4, 5, 3, 0), values(4, 6, 3, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        convolved = compiled(images)
    convolved.backward(gradient)
    assert layer.weight.grad is not None
    found = layer.weight.grad.clone()
    assert torch.equal(found, learned(layer, nn.Conv2d, images, gradient)[2])


def test_double_precision_stays_double_under_autocast() -> None:
    layer = PaddedConvolution(2, 3).double()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(values(4, 2, 3, 0).double()).dtype == torch.float64


def test_images_stand_side_by_side_with_a_column_of_zeros_behind_each() -> None:
    images = values(6, 2, 3, 0)
    rows = side_by_side(images)
    assert rows.shape == (1, 2, 3, 24)
    assert rows.is_contiguous(memory_format=torch.channels_last)
    for number, image in enumerate(images):
        assert torch.equal(rows[0, :, :, 4 * number : 4 * number + 3], image)
        assert not rows[0, :, :, 4 * number + 3].any()


@pytest.mark.parametrize(("num_images", "in_a_row"), [(500, 25), (350, 25), (97, 1), (26, 13)])
def test_a_row_has_as_many_images_as_divide_the_batch_and_fit(num_images: int, in_a_row: int) -> None:
    rows = side_by_side(values(num_images, 2, 3, 0))
    assert rows.shape == (num_images // in_a_row, 2, 3, 4 * in_a_row)
    assert rows.shape[3] <= WIDEST_ROW
