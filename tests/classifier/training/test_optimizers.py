"""Each optimizer against torch's own class, bit by bit; what is decayed; who moves what."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from classifier.compute import device
from classifier.networks.own import build_network
from classifier.training.optim import Adam, Muon, Optimizer, Sgd, build_optimizers, orthogonalise
from tests.support.training import params, recipe_for

RECIPE = recipe_for(params(network="pyramid", optimizer="muon", momentum=None, lr=0.01, weight_decay=0.1))
LRS = (0.01, 0.02, 0.005)
Theirs = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def random(*shape: int, seed: int) -> Tensor:
    """Channels-last where it has four sides."""
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return drawn.contiguous(memory_format=torch.channels_last) if drawn.ndim == 4 else drawn


def two_trainees() -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """A kernel, a matrix and a vector, twice."""
    shapes = [(6, 4, 3, 3), (5, 7), (9,)]
    first, second = ([nn.Parameter(random(*shape, seed=0)) for shape in shapes] for _ in range(2))
    return first, second


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda given: Sgd(given, 0.1, 0.0, False), lambda given: torch.optim.SGD(given, weight_decay=0.1, fused=True)),
        (lambda given: Sgd(given, 0.0, 0.9, False), lambda given: torch.optim.SGD(given, momentum=0.9, fused=True)),
        (
            lambda given: Sgd(given, 0.1, 0.9, True),
            lambda given: torch.optim.SGD(given, momentum=0.9, nesterov=True, weight_decay=0.1, fused=True),
        ),
        (lambda given: Adam(given, 0.1, decoupled=False), lambda given: torch.optim.Adam(given, weight_decay=0.1, fused=True)),
        (lambda given: Adam(given, 0.1, decoupled=True), lambda given: torch.optim.AdamW(given, weight_decay=0.1, fused=True)),
    ],
    ids=["sgd", "momentum", "nesterov", "adam", "adamw"],
)
def test_the_weights_are_those_of_torchs_class(ours: Callable[[list[nn.Parameter]], Optimizer], theirs: Theirs) -> None:
    """Also of a parameter that has no gradient in a step, as where a layer was left out."""
    first, second = two_trainees()
    our_optimizer, their_optimizer = ours(first), theirs(second)
    for step, lr in enumerate(LRS):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            gradient = None if (step, index) == (1, 2) else random(*one.shape, seed=10 * step + index)
            one.grad, other.grad = gradient, gradient
        our_optimizer.step(lr)
        their_optimizer.param_groups[0]["lr"] = lr
        their_optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    our_optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in first)


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (64, 4, 3, 3)], ids=["wide", "tall"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_a_kernel_moves_as_torchs_muon_moves_the_matrix(shape: tuple[int, ...], nesterov: bool) -> None:
    kernel = nn.Parameter(random(*shape, seed=0))
    matrix = nn.Parameter(kernel.detach().permute(0, 2, 3, 1).reshape(len(kernel), -1).clone())
    ours = Muon([kernel], 0.1, 0.95, nesterov)
    ours.dtype = torch.bfloat16  # as torch's has it everywhere
    theirs = torch.optim.Muon([matrix], weight_decay=0.1, momentum=0.95, nesterov=nesterov, adjust_lr_fn="match_rms_adamw")
    for seed, lr in enumerate(LRS):
        kernel.grad = random(*shape, seed=seed)
        matrix.grad = kernel.grad.permute(0, 2, 3, 1).reshape(matrix.shape)
        ours.step(lr)
        theirs.param_groups[0]["lr"] = lr
        theirs.step()
    assert torch.equal(kernel.detach().permute(0, 2, 3, 1).reshape(matrix.shape), matrix.detach())


@pytest.mark.parametrize(("nesterov", "expected"), [(None, True), (True, True), (False, False)])
def test_momentum_is_nesterovs_unless_it_is_said_not_to_be(nesterov: bool | None, expected: bool) -> None:
    """Two steps by hand, of gradient 1 and then 2: v = 0.9 · 1 + 2, and Nesterov's step is 0.9 v + 2."""
    weight = nn.Parameter(torch.zeros(1, 1))
    layer = nn.Linear(1, 1, bias=False)
    layer.weight = weight
    (sgd,) = build_optimizers(layer, recipe_for(params(momentum=0.9, nesterov=nesterov)))
    for gradient in (1.0, 2.0):
        weight.grad = torch.full((1, 1), gradient)
        sgd.step(1.0)
    steps = (0.9 * 1 + 1) + (0.9 * 2.9 + 2) if expected else 1 + 2.9
    assert weight.item() == pytest.approx(-steps)
    muon, _ = build_optimizers(
        build_network("cnn", (1, 16, 16), 3, 0).to(memory_format=torch.channels_last),
        recipe_for(params(network="cnn", optimizer="muon", momentum=None, nesterov=nesterov)),
    )
    assert isinstance(muon, Muon)
    assert muon.nesterov is expected


@pytest.mark.parametrize(
    ("instructions", "dtype"), [("amx_bf16", torch.bfloat16), ("bf16", torch.bfloat16), ("emulated", torch.float32)]
)
def test_muon_computes_in_bfloat16_where_the_cpu_does(
    monkeypatch: pytest.MonkeyPatch, instructions: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(device, "bfloat16_instructions", lambda: instructions)
    kernel = nn.Parameter(random(6, 4, 3, 3, seed=0))
    before, kernel.grad = kernel.detach().clone(), random(6, 4, 3, 3, seed=1)
    Muon([kernel], 0.0, 0.95, nesterov=False).step(1.0)
    step = orthogonalise((0.05 * kernel.grad).permute(0, 2, 3, 1).reshape(6, -1), dtype)
    expected = before.permute(0, 2, 3, 1).reshape(6, -1).add(step, alpha=-0.2 * 36**0.5)
    assert torch.equal(kernel.detach().permute(0, 2, 3, 1).reshape(6, -1), expected)


@pytest.mark.parametrize(("dtype", "closest"), [(torch.bfloat16, 0.05), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("shape", [(8, 36), (36, 8)])
def test_orthogonalised_matrices_have_the_directions_of_the_matrix_and_singular_values_near_one(
    shape: tuple[int, int], dtype: torch.dtype, closest: float
) -> None:
    matrix = random(*shape, seed=3)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = left.T @ orthogonalise(matrix, dtype).float() @ right.T
    assert values.diagonal().min() > 0.5
    assert values.diagonal().max() < 1.5
    assert (values - values.diagonal().diag()).abs().max() < closest


def test_muon_moves_the_kernels_and_adamw_the_rest() -> None:
    network = build_network("pyramid", (1, 28, 28), 10, seed=0).to(memory_format=torch.channels_last)
    plain = build_network("pyramid", (1, 28, 28), 10, seed=0).to(memory_format=torch.channels_last)
    for one in (network, plain):
        for index, parameter in enumerate(one.parameters()):
            parameter.grad = random(*parameter.shape, seed=index)
    for optimizer in build_optimizers(network, RECIPE):
        optimizer.step(RECIPE.lr)
    others = [parameter for parameter in plain.parameters() if parameter.ndim != 4]
    adamw = torch.optim.AdamW(
        [
            {"params": [parameter for parameter in others if parameter.ndim == 2], "weight_decay": 0.1},
            {"params": [parameter for parameter in others if parameter.ndim == 1], "weight_decay": 0.0},
        ],
        lr=0.01,
        fused=True,
    )
    adamw.step()
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs) == (ours.ndim != 4)


def test_without_kernels_muon_is_adamw() -> None:
    optimizers = build_optimizers(build_network("mlp", (1, 8, 8), 3, seed=0), RECIPE)
    assert [(type(optimizer), optimizer.weight_decay) for optimizer in optimizers] == [(Adam, 0.1), (Adam, 0.0)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
def test_the_decay_spares_biases_and_normalisations(optimizer: str) -> None:
    """With gradients of zero, and no momentum yet, the decay alone moves a weight."""
    changes: dict[str, Any] = {"optimizer": optimizer, "momentum": None, "lr": 0.01, "weight_decay": 0.1}
    network = build_network("pyramid", (1, 28, 28), 10, seed=0).to(memory_format=torch.channels_last)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for one in build_optimizers(network, recipe_for(params(network="pyramid", **changes))):
        one.step(0.01)
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(old, new) == (new.ndim == 1)
