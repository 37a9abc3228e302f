"""torchvision's classification networks as they are. It takes a second to import, so it is imported where one is made."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import nn


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
