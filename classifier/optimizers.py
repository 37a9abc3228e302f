"""The optimizers by name, with torch's fused kernels where the device has them."""

from collections.abc import Iterable

import torch
from torch import nn

from classifier.errors import UserError

DEFAULT_MOMENTUM = 0.9


def build_optimizer(
    name: str, parameters: Iterable[nn.Parameter], lr: float, momentum: float | None, weight_decay: float, device: torch.device
) -> torch.optim.Optimizer:
    """SGD, Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) at torch's defaults but for the arguments.

    `momentum` is SGD's alone; None is 0.9. `weight_decay` is an L2 penalty in sgd and adam, decoupled in adamw.
    Raises UserError for an unknown name.
    """
    fused = device.type in ("cpu", "cuda")
    if name == "sgd":
        momentum = DEFAULT_MOMENTUM if momentum is None else momentum
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused)
    if name == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=fused)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=fused)
    raise UserError(f"optimizer {name!r} is not known; the known ones are sgd, adam, adamw")
