"""The optimizers by name, with torch's fused kernels where the device has them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from classifier.params.train import TrainParams

DEFAULT_MOMENTUM = {"sgd": 0.9, "muon": 0.95}


def build_optimizers(network: nn.Module, params: TrainParams, device: torch.device) -> list[torch.optim.Optimizer]:
    """SGD, Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019) or Muon (Jordan et al. 2024).

    `momentum` None is the optimizer's own of DEFAULT_MOMENTUM, and it is Nesterov's (1983) unless `nesterov` is False; the rest
    stands at torch's defaults. `weight_decay` is an L2 penalty in sgd and adam, decoupled in adamw and muon. It spares vectors:
    biases, and the scales of normalisations.
    Muon moves the convolutions of more than one pixel and one group; AdamW all else, at the same `lr` (Liu et al. 2025).
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if params.optimizer == "muon":
        kernels = _kernels(network)
        chosen = set(map(id, kernels))
        others = [parameter for parameter in trained if id(parameter) not in chosen]
        adamw = torch.optim.AdamW(_groups(others, params), lr=params.lr, fused=_has_fused(device))
        return [FlattenedMuon(kernels, params), adamw] if kernels else [adamw]
    options: dict[str, Any] = {"lr": params.lr, "fused": _has_fused(device)}
    if params.optimizer == "sgd":
        momentum = _momentum(params)
        return [torch.optim.SGD(_groups(trained, params), momentum=momentum, nesterov=_is_nesterov(params), **options)]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[params.optimizer]
    return [kind(_groups(trained, params), **options)]


class FlattenedMuon(torch.optim.Muon):
    """torch's Muon, which takes matrices only, for convolutions: each (O, C, h, w) is a matrix of O rows, in place.

    The kernels must lie channels-last in memory.
    """

    def __init__(self, kernels: Iterable[nn.Parameter], params: TrainParams) -> None:
        self.kernels = list(kernels)
        super().__init__(
            [nn.Parameter(_as_matrix(kernel.detach())) for kernel in self.kernels],
            lr=params.lr,
            weight_decay=params.weight_decay,
            momentum=_momentum(params),
            nesterov=_is_nesterov(params),
            adjust_lr_fn="match_rms_adamw",
        )

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the kernels by their gradients."""
        for kernel, matrix in zip(self.kernels, self.param_groups[0]["params"], strict=True):
            matrix.grad = None if kernel.grad is None else _as_matrix(kernel.grad)
        super().step(closure)  # type: ignore[no-untyped-call]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the kernels."""
        super().zero_grad(set_to_none)
        for kernel in self.kernels:
            kernel.grad = None


def _as_matrix(kernel_OChw: Tensor) -> Tensor:
    """The same memory as rows of h·w·C values. Raises RuntimeError where it does not lie so."""
    return kernel_OChw.permute(0, 2, 3, 1).view(len(kernel_OChw), -1)


def _kernels(network: nn.Module) -> list[nn.Parameter]:
    """Of convolutions in groups, the rows of the matrix see different channels: to make them orthogonal has no sense."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.groups == 1]
    weights = [layer.get_parameter("weight") for layer in convolutions]
    return [weight for weight in weights if weight.requires_grad and weight.shape[2:].numel() > 1]


def _momentum(params: TrainParams) -> float:
    return DEFAULT_MOMENTUM[params.optimizer] if params.momentum is None else params.momentum


def _is_nesterov(params: TrainParams) -> bool:
    return _momentum(params) > 0 and params.nesterov is not False


def _groups(parameters: list[nn.Parameter], params: TrainParams) -> list[dict[str, Any]]:
    if params.weight_decay == 0:
        return [{"params": parameters, "weight_decay": 0.0}]  # a group costs some 15 µs a step
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _has_fused(device: torch.device) -> bool:
    return device.type in ("cpu", "cuda")
