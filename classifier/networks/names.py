"""The networks' names and the images that each works on, known without importing torch or torchvision."""

import difflib
from dataclasses import dataclass

from classifier.common.errors import short_repr

SMALLEST_IMAGE = {"softmax": 1, "mlp": 1, "cnn": 16, "mnist_cnn": 4, "cifar_cnn": 8, "pyramid": 8, "half_pyramid": 8}
"""Our own networks, and the smallest height and width, in pixels, that leaves at least one value after their last pooling."""

WITHOUT_CONVOLUTIONS = ("softmax", "mlp")


@dataclass(frozen=True)
class Sides:
    """The heights and widths that a network works on, in pixels: `smallest`, and every `step` more."""

    smallest: int
    step: int = 1


_PADDED = (
    "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6 "
    "efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 "
    "mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf "
    "regnet_x_400mf regnet_x_800mf regnet_x_8gf regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf "
    "regnet_y_400mf regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d "
    "resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 "
    "wide_resnet101_2 wide_resnet50_2"
)
_BY_SIDES = {
    Sides(1): _PADDED,
    Sides(4): "swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t",
    Sides(15): "googlenet",
    Sides(17): "squeezenet1_1",
    Sides(21): "squeezenet1_0",
    Sides(29): "densenet121 densenet161 densenet169 densenet201",
    Sides(32): "convnext_base convnext_large convnext_small convnext_tiny "
    "vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn",
    Sides(63): "alexnet",
    Sides(75): "inception_v3",
    Sides(14, step=14): "vit_h_14",
    Sides(16, step=16): "vit_b_16 vit_l_16",
    Sides(32, step=32): "vit_b_32 vit_l_32",
    Sides(224, step=224): "maxvit_t",
}
TORCHVISION = {name: sides for sides, names in _BY_SIDES.items() for name in names.split()}
"""torchvision's classification networks and the sides that they were found to work on; a step means square images only."""


def unknown_network(name: str) -> str | None:
    """What is wrong with the name of a network, with the nearest known ones; None when it is known."""
    if name in SMALLEST_IMAGE or name in TORCHVISION:
        return None
    nearest = difflib.get_close_matches(name[:100], [*SMALLEST_IMAGE, *TORCHVISION], n=3)
    hint = f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else "such as 'resnet18' or 'vgg16'"
    return f"network must be one of {', '.join(SMALLEST_IMAGE)}, or of torchvision's, got {short_repr(name)}; {hint}"


def unfit_images(network: str, height: int, width: int) -> str | None:
    """Why a known network does not work on images of this size, in pixels, and what does; None when it works on them."""
    sides = TORCHVISION.get(network) or Sides(SMALLEST_IMAGE[network])
    if sides.step > 1 and (height != width or height % sides.step):
        return (
            f"network {network!r} needs square images of {sides.smallest} pixels or a multiple of it, got {height}x{width}; "
            f"set `image_size: {sides.step * max(1, round(min(height, width) / sides.step))}` or choose another network"
        )
    if min(height, width) < sides.smallest:
        return (
            f"network {network!r} needs images of {sides.smallest}x{sides.smallest} pixels or more, got {height}x{width}; "
            f"set `image_size: {sides.smallest}` or choose another network"
        )
    return None
