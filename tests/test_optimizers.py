"""Muon against torch's own on matrices; what is decayed; who moves what."""

from typing import Any

import pytest
import torch
from torch import nn

from classifier.model.networks import build_network
from classifier.training.optimizers import FlattenedMuon, build_optimizers
from tests.test_training import CPU, params

SETTINGS = params(network="pyramid", optimizer="muon", momentum=None, lr=0.01, weight_decay=0.1)


def gradients_for(network: nn.Module, seed: int) -> None:
    for index, parameter in enumerate(network.parameters()):
        gradient = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed + index))
        parameter.grad = torch.empty_like(parameter).copy_(gradient)


def test_a_flattened_kernel_moves_as_torchs_muon_moves_the_matrix() -> None:
    kernel = nn.Parameter(torch.randn(6, 4, 3, 3).contiguous(memory_format=torch.channels_last))
    matrix = nn.Parameter(kernel.detach().permute(0, 2, 3, 1).reshape(6, 36).clone())
    ours = FlattenedMuon([kernel], SETTINGS)
    theirs = torch.optim.Muon([matrix], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for seed in range(3):
        gradient = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(seed))
        kernel.grad = gradient.contiguous(memory_format=torch.channels_last)
        matrix.grad = gradient.permute(0, 2, 3, 1).reshape(6, 36)
        ours.step()
        theirs.step()
    assert torch.equal(kernel.detach().permute(0, 2, 3, 1).reshape(6, 36), matrix.detach())
    ours.zero_grad()
    assert kernel.grad is None


@pytest.mark.parametrize(("nesterov", "expected"), [(None, True), (True, True), (False, False)])
def test_momentum_is_nesterovs_unless_it_is_said_not_to_be(nesterov: bool | None, expected: bool) -> None:
    """Two steps by hand, of gradient 1 and then 2: v = 0.9 · 1 + 2, and Nesterov's step is 0.9 v + 2."""
    weight = nn.Parameter(torch.zeros(1, 1))
    layer = nn.Linear(1, 1, bias=False)
    layer.weight = weight
    (sgd,) = build_optimizers(layer, params(momentum=0.9, lr=1.0, nesterov=nesterov), CPU)
    for gradient in (1.0, 2.0):
        weight.grad = torch.full((1, 1), gradient)
        sgd.step()
    steps = (0.9 * 1 + 1) + (0.9 * 2.9 + 2) if expected else 1 + 2.9
    assert weight.item() == pytest.approx(-steps)
    muon, _ = build_optimizers(
        build_network("cnn", (1, 16, 16), 3, 0).to(memory_format=torch.channels_last),
        params(network="cnn", optimizer="muon", momentum=None, nesterov=nesterov),
        CPU,
    )
    assert muon.param_groups[0]["nesterov"] is expected


def test_the_step_of_a_kernel_has_nearly_equal_singular_values() -> None:
    """Newton-Schulz brings them near 1; the step is lr · 0.2 · sqrt(larger side) times that (Liu et al. 2025)."""
    kernel = nn.Parameter(torch.zeros(8, 4, 3, 3).contiguous(memory_format=torch.channels_last))
    muon = FlattenedMuon([kernel], SETTINGS)
    kernel.grad = torch.randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    muon.step()
    singular_values = torch.linalg.svdvals(kernel.detach().reshape(8, 36)) / (0.01 * 0.2 * 6)
    assert singular_values.min() > 0.5
    assert singular_values.max() < 1.5


def test_muon_moves_the_kernels_and_adamw_the_rest() -> None:
    network = build_network("pyramid", (1, 28, 28), 10, seed=0).to(memory_format=torch.channels_last)
    plain = build_network("pyramid", (1, 28, 28), 10, seed=0).to(memory_format=torch.channels_last)
    gradients_for(network, seed=1)
    gradients_for(plain, seed=1)
    for optimizer in build_optimizers(network, SETTINGS, CPU):
        optimizer.step()
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
    optimizers = build_optimizers(build_network("mlp", (1, 8, 8), 3, seed=0), SETTINGS, CPU)
    assert [type(optimizer) for optimizer in optimizers] == [torch.optim.AdamW]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
def test_the_decay_spares_biases_and_normalisations(optimizer: str) -> None:
    """With gradients of zero, and no momentum yet, the decay alone moves a weight."""
    changes: dict[str, Any] = {"optimizer": optimizer, "momentum": None, "lr": 0.01, "weight_decay": 0.1}
    network = build_network("pyramid", (1, 28, 28), 10, seed=0).to(memory_format=torch.channels_last)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for one in build_optimizers(network, params(network="pyramid", **changes), CPU):
        one.step()
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(old, new) == (new.ndim == 1)
