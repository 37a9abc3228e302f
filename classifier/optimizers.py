"""The optimizers by name, with torch's fused kernels where the device has them."""

from collections.abc import Iterable

import torch
from torch import nn

from classifier.params.train import TrainParams

DEFAULT_MOMENTUM = 0.9


def build_optimizer(parameters: Iterable[nn.Parameter], params: TrainParams, device: torch.device) -> torch.optim.Optimizer:
    """SGD, Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019), as `params` say, otherwise at torch's defaults.

    `momentum` is SGD's alone; None is 0.9. `weight_decay` is an L2 penalty in sgd and adam, decoupled in adamw.
    """
    lr, weight_decay = params.lr, params.weight_decay
    fused = device.type in ("cpu", "cuda")
    if params.optimizer == "sgd":
        momentum = DEFAULT_MOMENTUM if params.momentum is None else params.momentum
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused)
    if params.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=fused)
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=fused)
