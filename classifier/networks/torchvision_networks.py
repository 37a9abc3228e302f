"""torchvision's classification networks: as they are, and for any number of classes, grey images and repeatable draws."""

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from classifier.common.errors import UserError
from classifier.networks.layers import AdaptiveMean, Dropout, StochasticDepth


def plain_network(name: str, side: int, num_classes: int) -> nn.Module:
    """The network for square images of `side` pixels, without the auxiliary heads that two have for their training."""
    from torchvision.models import get_model

    # RegNet computes its widths with tensors, so they need memory, even where the weights are to have none.
    with torch.device("cpu") if name.startswith("regnet_") else nullcontext():
        network: nn.Module = get_model(name, weights=None, num_classes=num_classes, **_arguments(name, side))
    return network


def head_name(network: nn.Module) -> str:
    """The name in `network` of the layer that scores the classes: its last linear layer or convolution."""
    names: list[str] = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    return names[-1]


def _arguments(name: str, side: int) -> dict[str, Any]:
    if name.startswith("vit_"):
        return {"image_size": side}
    if name == "maxvit_t":
        return {"input_size": (side, side)}
    if name in ("googlenet", "inception_v3"):
        # Their published weights saw pixels from -1 to 1; transform_input brings those normalised as ImageNet's there.
        return {"aux_logits": False, "transform_input": True, "init_weights": True}
    return {}


ADAPTIVE = {(6, 6): 6, (7, 7): 7}
"""Of AlexNet and VGG. To a single pixel, which the others pool to, torch takes a plain mean."""

TINY = 16
"""Up to this height or width, in pixels, a convolution with a stride of 2 may get a map of one pixel. There the bfloat16
gradient of its kernel, on CPUs, holds what was in memory before (torch 2.14.1)."""


class TorchvisionNetwork(nn.Module):
    """One of torchvision's networks: normalised images (N, 1 or 3, H, W) to logits (N, K).

    A grey image is shown in all three channels instead of giving the first layer one: so published weights compute what they
    compute of a grey photograph, and weights from scratch lose nothing but a part of the first layer's time.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Apply the network, to images up to TINY without the lower precision of autocast."""
        images_N3HW = images_NCHW.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images_NCHW.device.type, enabled=False) if min(images_NCHW.shape[2:]) <= TINY else nullcontext():
            logits_NK: Tensor = self.network(images_N3HW)
        return logits_NK

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As of any module. Weights of a file carry no versions of their layers, and MNASNet refuses them without."""
        versioned = OrderedDict(state_dict)
        versioned._metadata = getattr(self.state_dict(), "_metadata")  # type: ignore[attr-defined]  # noqa: B009
        return super().load_state_dict(versioned, strict=strict, assign=assign)


def build_torchvision(name: str, shape_CHW: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Make the known network `name`, initialised as torchvision does. Raises UserError unless images have 1 or 3 channels."""
    channels, side, _ = shape_CHW
    if channels not in (1, 3):
        raise UserError(f"network {name!r} needs images of 1 or 3 channels, got {channels}; choose one of our own networks")
    return TorchvisionNetwork(_repeatable(plain_network(name, side, num_classes)))


def _repeatable(network: nn.Module) -> nn.Module:
    """Put our layers in place of those that draw from the global generator, or have no deterministic gradient on CUDA."""
    from torchvision.ops import StochasticDepth as DrawnDepth

    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Dropout) and layer.p > 0:
                setattr(parent, name, Dropout(layer.p))
            elif isinstance(layer, DrawnDepth) and layer.p > 0:
                setattr(parent, name, StochasticDepth(layer.p))
            elif isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in ADAPTIVE:
                setattr(parent, name, AdaptiveMean(ADAPTIVE[layer.output_size]))
    return network
