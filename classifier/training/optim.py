"""The optimizers by name, with torch's own fused kernels where there are, and how the learning rate moves."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, addmm, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from classifier.compute.device import has_bfloat16
from classifier.training.recipe import Recipe

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial a·x + b·x³ + c·x⁵, steep at 0: singular values end between about 0.5 and 1.5 (Jordan et al. 2024)."""
NUM_ITERATIONS = 5
SMALLEST_NORM = 1e-7


def orthogonalise(matrix_RC: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """U·Vᵀ of the singular value decomposition U·S·Vᵀ, but for singular values near 1, computed in `dtype`: (R, C).

    By NUM_ITERATIONS steps of Newton-Schulz, on the side of the shorter edge.
    """
    is_tall = matrix_RC.shape[0] > matrix_RC.shape[1]
    wide = matrix_RC.to(dtype).T if is_tall else matrix_RC.to(dtype)
    wide = wide / wide.norm().clamp(min=SMALLEST_NORM)
    a, b, c = COEFFICIENTS
    for _ in range(NUM_ITERATIONS):
        gram = wide @ wide.T
        wide = addmm(wide, addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if is_tall else wide


ADAM_BETAS = (0.9, 0.999)
ADAM_EPS = 1e-8
MUON_SCALE = 0.2
"""Brings the step's root mean square to about that of AdamW (Liu et al. 2025)."""


class Optimizer(ABC):
    """Moves `parameters` by their gradients. `state` has under each name one tensor for each parameter, zeros at first."""

    def __init__(self, parameters: Iterable[nn.Parameter], weight_decay: float, state: Sequence[str]) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.state: dict[str, list[Tensor]] = {
            name: [torch.zeros_like(parameter, requires_grad=False) for parameter in self.parameters] for name in state
        }

    def step(self, lr: float) -> None:
        """Move the parameters that have a gradient; the learning rate of this step is `lr`."""
        rows = [
            (parameter, parameter.grad, *state)
            for parameter, *state in zip(self.parameters, *self.state.values(), strict=True)
            if parameter.grad is not None
        ]
        if rows:
            with torch.no_grad():
                self._move(lr, *map(list, zip(*rows, strict=True)))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @abstractmethod
    def _move(self, lr: float, parameters: list[Tensor], gradients: list[Tensor], *state: list[Tensor]) -> None:
        """One step; `state` is in the order of its names."""


class Sgd(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (1983); `weight_decay` is an L2 penalty."""

    def __init__(self, parameters: Iterable[nn.Parameter], weight_decay: float, momentum: float, nesterov: bool) -> None:
        super().__init__(parameters, weight_decay, ["momentum_buffer"] if momentum else [])
        self.momentum = momentum
        self.nesterov = nesterov

    def _move(self, lr: float, parameters: list[Tensor], gradients: list[Tensor], *state: list[Tensor]) -> None:
        sgd(
            parameters,
            gradients,
            list(state[0]) if state else [],
            fused=_has_fused(parameters[0].device),
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
        )


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), its `weight_decay` an L2 penalty; `decoupled` is AdamW (Loshchilov & Hutter 2019)."""

    def __init__(self, parameters: Iterable[nn.Parameter], weight_decay: float, decoupled: bool) -> None:
        super().__init__(parameters, weight_decay, ["exp_avg", "exp_avg_sq"])
        self.decoupled = decoupled
        # Where torch's functions want them: fused kernels read the counters on the device.
        devices = [parameter.device if _has_fused(parameter.device) else "cpu" for parameter in self.parameters]
        self.state["step"] = [torch.zeros((), dtype=torch.float32, device=device) for device in devices]

    def _move(self, lr: float, parameters: list[Tensor], gradients: list[Tensor], *state: list[Tensor]) -> None:
        exp_avgs, exp_avg_sqs, steps = state
        adam(
            parameters,
            gradients,
            exp_avgs,
            exp_avg_sqs,
            [],
            steps,
            fused=_has_fused(parameters[0].device),
            decoupled_weight_decay=self.decoupled,
            amsgrad=False,
            beta1=ADAM_BETAS[0],
            beta2=ADAM_BETAS[1],
            lr=lr,
            weight_decay=self.weight_decay,
            eps=ADAM_EPS,
            maximize=False,
        )


class Muon(Optimizer):
    """Steps that are orthogonal matrices (Jordan et al. 2024): each kernel (O, C, h, w) is a matrix of O rows, in place.

    The kernels must lie channels-last in memory. `weight_decay` is decoupled. The steps are made orthogonal in bfloat16,
    or in float32 where the device only emulates that, which takes many times as long.
    """

    def __init__(self, kernels: Sequence[nn.Parameter], weight_decay: float, momentum: float, nesterov: bool) -> None:
        super().__init__(kernels, weight_decay, ["momentum_buffer"])
        self.momentum = momentum
        self.nesterov = nesterov
        self.dtype = torch.bfloat16 if has_bfloat16(kernels[0].device) else torch.float32

    def _move(self, lr: float, parameters: list[Tensor], gradients: list[Tensor], *state: list[Tensor]) -> None:
        for kernel, *others in zip(parameters, gradients, *state, strict=True):
            matrix, gradient, average = map(_as_matrix, (kernel, *others))
            average.lerp_(gradient, 1 - self.momentum)
            update = orthogonalise(gradient.lerp(average, self.momentum) if self.nesterov else average, self.dtype)
            matrix.mul_(1 - lr * self.weight_decay)
            matrix.add_(update, alpha=-lr * (MUON_SCALE * max(matrix.shape) ** 0.5))


def build_optimizers(network: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """What moves the trained parameters of `network`: one optimizer for those that decay, one for the rest.

    `weight_decay` spares vectors: biases, and the scales of normalisations. Muon moves the convolutions of more than one pixel
    and one group; AdamW all else, at the same `lr`.
    """
    decay, momentum, nesterov = recipe.weight_decay, recipe.momentum, recipe.nesterov
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if recipe.optimizer == "sgd":
        return [Sgd(group, decay, momentum, nesterov) for group, decay in _groups(parameters, decay)]
    if recipe.optimizer != "muon":
        return [Adam(group, decay, decoupled=recipe.optimizer == "adamw") for group, decay in _groups(parameters, decay)]
    kernels = _kernels(network)
    chosen = set(map(id, kernels))
    others = [parameter for parameter in parameters if id(parameter) not in chosen]
    muon = [Muon(kernels, decay, momentum, nesterov)] if kernels else []
    return [*muon, *(Adam(group, decay, decoupled=True) for group, decay in _groups(others, decay))]


def _as_matrix(kernel_OChw: Tensor) -> Tensor:
    """The same memory as rows of h·w·C values. Raises RuntimeError where it does not lie so."""
    return kernel_OChw.permute(0, 2, 3, 1).view(len(kernel_OChw), -1)


def _kernels(network: nn.Module) -> list[nn.Parameter]:
    """Of convolutions in groups, the rows of the matrix see different channels: to make them orthogonal has no sense."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.groups == 1]
    weights = [layer.get_parameter("weight") for layer in convolutions]
    return [weight for weight in weights if weight.requires_grad and weight.shape[2:].numel() > 1]


def _groups(parameters: list[nn.Parameter], weight_decay: float) -> list[tuple[list[nn.Parameter], float]]:
    """Parameters and their weight decay; one group where nothing decays, as each costs Python at every step."""
    if weight_decay == 0:
        return [(parameters, 0.0)]
    groups = [
        ([parameter for parameter in parameters if parameter.ndim > 1], weight_decay),
        ([parameter for parameter in parameters if parameter.ndim <= 1], 0.0),
    ]
    return [(group, decay) for group, decay in groups if group]


def _has_fused(device: torch.device) -> bool:
    return device.type in ("cpu", "cuda")


ONECYCLE_START = 1 / 25
ONECYCLE_END = ONECYCLE_START / 1e4


def lr_factor(schedule: str, step: int, num_steps: int, warmup_fraction: float) -> float:
    """Multiplier of the peak learning rate in step `step`, 0 <= step < num_steps.

    - constant: 1;
    - linear: to 0 in a straight line;
    - cosine: to 0 in half a cosine (Loshchilov & Hutter 2017, without restarts);
    - onecycle: half a cosine up from 1/25 and another down to 1/250,000 (Smith & Topin 2018; torch's OneCycleLR with
      `pct_start=warmup_fraction` and its momentum left alone).

    Before that, the first `warmup_fraction` of the steps rise to 1 in a straight line.
    """
    if schedule == "onecycle":
        return _onecycle(step, num_steps, warmup_fraction)
    num_warmup_steps = warmup_fraction * num_steps
    if step < num_warmup_steps:
        return min((step + 1) / num_warmup_steps, 1.0)
    fallen = (step - num_warmup_steps) / (num_steps - num_warmup_steps)
    return {"constant": 1.0, "linear": 1 - fallen, "cosine": _half_cosine(1, 0, fallen)}[schedule]


def _onecycle(step: int, num_steps: int, warmup_fraction: float) -> float:
    peak, last = warmup_fraction * num_steps - 1, num_steps - 1
    if step < peak:
        return _half_cosine(ONECYCLE_START, 1, step / peak)
    return _half_cosine(1, ONECYCLE_END, (step - peak) / (last - peak))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
