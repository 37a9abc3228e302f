"""torchvision's networks: our table of them against torchvision itself, and what we put around and into them."""

import re

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.ops import StochasticDepth as DrawnDepth

from classifier.common.errors import UserError
from classifier.networks.layers import DropoutKeys
from classifier.networks.names import TORCHVISION, unfit_images
from classifier.networks.own import build_network, count_parameters
from classifier.networks.torchvision_networks import ADAPTIVE, TorchvisionNetwork, head_name, plain_network
from tests.support.training import CPU, compute

__all__ = ["compute"]
FAMILIES = {
    "alexnet": "classifier.6",
    "convnext_tiny": "classifier.2",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier.1",
    "googlenet": "fc",
    "inception_v3": "fc",
    "mnasnet0_5": "classifier.1",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "regnet_x_400mf": "fc",
    "resnet18": "fc",
    "shufflenet_v2_x0_5": "fc",
    "squeezenet1_1": "classifier.1",
    "swin_t": "head",
    "swin_v2_t": "head",
    "vgg11": "classifier.6",
    "vit_b_32": "heads.head",
}
"""One network of each and its last layer; MaxViT is left to the slow tests."""
SMALL = ["mobilenet_v3_small", "efficientnet_b0", "squeezenet1_1", "shufflenet_v2_x0_5"]


def test_the_names_are_those_of_torchvision() -> None:
    assert sorted(TORCHVISION) == models.list_models(module=models)


def weightless(name: str, side: int, num_classes: int = 1000) -> nn.Module:
    with torch.device("meta"):
        return plain_network(name, side, num_classes)


def logits_shape(network: nn.Module, side: int) -> tuple[int, ...]:
    """In training, where batch normalisation is stricter; a network without memory computes shapes alone."""
    device = next(network.parameters()).device
    with torch.device(device):
        return tuple(network.train()(torch.zeros(2, 3, side, side)).shape)


def check_smallest(name: str, *, whole_range: bool) -> None:
    """It works from the smallest side on, by steps, and not below."""
    sides = TORCHVISION[name]
    for side in {sides.smallest, sides.smallest + sides.step * (7 if whole_range and sides.smallest < 99 else 1)}:
        assert logits_shape(weightless(name, side, 5), side) == (2, 5)
    if sides.smallest > 1:
        # of networks for a single size one pixel more is tried, too; the first layers of MaxViT round up to a multiple of four
        less = 4 if name == "maxvit_t" else 1
        for side in {sides.smallest - less, *([sides.smallest + 1] if sides.step > 1 else [])}:
            with pytest.raises((RuntimeError, ValueError, AssertionError, ZeroDivisionError)):
                logits_shape(weightless(name, side, 5), side)


@pytest.mark.parametrize("name", ["alexnet", "densenet121", "googlenet", "squeezenet1_0", "squeezenet1_1", "vgg11", "vit_b_32"])
def test_the_smallest_image_is_the_smallest_that_torchvision_computes(name: str) -> None:
    check_smallest(name, whole_range=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TORCHVISION if not re.fullmatch(r"regnet_._(\d_\d|8|16|32|128)gf", name)])
def test_the_smallest_image_of_every_network(name: str) -> None:
    """The larger RegNets, which need memory even so, differ from the smaller in numbers only."""
    check_smallest(name, whole_range=True)


@pytest.mark.parametrize(("name", "head"), FAMILIES.items())
def test_each_family_scores_the_classes_asked_for_and_draws_nothing_of_its_own(name: str, head: str) -> None:
    sides = TORCHVISION[name]
    with torch.device("meta"):
        network = build_network(name, (1, sides.smallest, sides.smallest), 7, seed=0)
    assert isinstance(network, TorchvisionNetwork)
    assert head_name(network.network) == head
    assert network.network.get_submodule(head).weight.shape[0] == 7  # type: ignore[union-attr]
    layers = list(network.modules())
    assert not [layer for layer in layers if isinstance(layer, nn.Dropout | DrawnDepth) and layer.p > 0]
    pooled = {layer.output_size for layer in layers if isinstance(layer, nn.AdaptiveAvgPool2d)}
    assert pooled <= {1, (1, 1)} and pooled.isdisjoint(ADAPTIVE)


def test_the_published_numbers_of_parameters() -> None:
    """torchvision publishes them for a thousand classes."""
    for name in ("resnet18", "squeezenet1_1", "mobilenet_v3_small", "densenet121"):
        published = models.get_model_weights(name).DEFAULT.meta["num_params"]  # type: ignore[attr-defined]
        with torch.device("meta"):
            assert count_parameters(build_network(name, (3, 64, 64), 1000, seed=0)) == published


@pytest.mark.parametrize("name", SMALL)
def test_a_pass_is_repeatable_deterministic_and_leaves_the_global_generator(name: str) -> None:
    side = TORCHVISION[name].smallest + 8
    network = build_network(name, (1, side, side), 5, seed=0).to(memory_format=torch.channels_last).train()
    keys = DropoutKeys(network, 4, seed=1, epoch=2, device=CPU)
    images = torch.randn(4, 1, side, side, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    passes = []
    for _ in range(2):
        keys.choose(torch.tensor([3, 1]))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(images[[3, 1]])
        gradients = torch.autograd.grad(logits.float().square().sum(), list(network.parameters()))
        passes.append([logits, *gradients])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first, second) for first, second in zip(*passes, strict=True))


def test_a_grey_image_is_seen_as_the_same_picture_in_colour() -> None:
    network = build_network("squeezenet1_1", (1, 32, 32), 5, seed=0).eval()
    assert isinstance(network, TorchvisionNetwork)
    grey = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(grey), network.network(torch.cat([grey] * 3, dim=1)))
    assert network(grey).std() > 0.01


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(UserError, match="network 'resnet18' needs images of 1 or 3 channels, got 4; choose one of our own"):
        build_network("resnet18", (4, 16, 16), 5, seed=0)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("vgg16", (31, 40), r"'vgg16' needs images of 32x32 pixels or more, got 31x40; set `image_size: 32` or choose"),
        ("vit_b_16", (40, 40), r"needs square images of 16 pixels or a multiple of it, got 40x40; set `image_size: 32`"),
        ("vit_b_16", (8, 8), r"got 8x8; set `image_size: 16`"),
        ("vit_b_16", (32, 64), r"needs square images of 16 pixels .*, got 32x64; set `image_size: 32`"),
        ("maxvit_t", (300, 300), r"needs square images of 224 pixels or a multiple of it, got 300x300; set `image_size: 224`"),
    ],
)
def test_sizes_that_do_not_work_are_refused_with_one_that_does(name: str, size: tuple[int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network(name, (3, *size), 5, seed=0)


def test_good_sizes_pass() -> None:
    assert not [name for name, sides in TORCHVISION.items() if unfit_images(name, sides.smallest, sides.smallest)]
    assert unfit_images("vit_h_14", 224, 224) is None
    assert unfit_images("resnet18", 1, 30) is None


def test_the_seed_decides_the_first_weights() -> None:
    first, again, other = (
        build_network("shufflenet_v2_x0_5", (3, 8, 8), 3, seed=seed).state_dict()["network.fc.weight"] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["mnasnet0_5", "regnet_x_400mf", "swin_t"])
def test_weights_without_versions_fill_a_network_that_was_made_without_memory(name: str) -> None:
    """As classifier.model.file does it; MNASNet asks for a version, RegNet computes at once, Swin has tables."""
    side = TORCHVISION[name].smallest + 3
    made = build_network(name, (3, side, side), 4, seed=0).eval()
    with torch.device("meta"):
        empty = build_network(name, (3, side, side), 4, seed=0)
    empty.load_state_dict(dict(made.state_dict()), assign=True)
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        assert torch.equal(empty.eval()(images), made(images))


@pytest.mark.parametrize(("side", "alike"), [(16, True), (17, False)])
def test_tiny_images_are_computed_in_float32(side: int, alike: bool) -> None:
    """In bfloat16 the gradient of a strided convolution over one pixel would hold old memory."""
    network = build_network("shufflenet_v2_x0_5", (1, side, side), 3, seed=0).train()
    images = torch.randn(4, 1, side, side, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = network(images).float()
    assert torch.equal(mixed, network(images)) == alike
