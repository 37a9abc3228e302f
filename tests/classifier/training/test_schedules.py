"""The learning-rate schedules against torch's own schedulers and their closed forms."""

import math

import pytest
import torch

from classifier.training.optim import lr_factor


def curve(schedule: str, num_steps: int, warmup_fraction: float) -> list[float]:
    return [lr_factor(schedule, step, num_steps, warmup_fraction) for step in range(num_steps)]


@pytest.mark.parametrize("num_steps", [10, 97])
@pytest.mark.parametrize("warmup_fraction", [0.2, 0.3, 0.5])
def test_onecycle_is_torchs(num_steps: int, warmup_fraction: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=num_steps, pct_start=warmup_fraction, cycle_momentum=False
    )
    theirs = []
    for _ in range(num_steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert curve("onecycle", num_steps, warmup_fraction) == pytest.approx(theirs, rel=1e-6)


def test_cosine_is_torchs_cosine_annealing() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    theirs = []
    for _ in range(20):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert curve("cosine", 20, 0) == pytest.approx(theirs)


def test_linear_is_a_triangle_with_its_peak_where_the_warmup_ends() -> None:
    assert curve("linear", 10, 0.4) == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 6 / 6, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_constant_is_one_after_the_warmup() -> None:
    assert curve("constant", 6, 0.5) == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1])
    assert curve("constant", 3, 0) == [1, 1, 1]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "onecycle"])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 7])
@pytest.mark.parametrize("warmup_fraction", [0.01, 0.3, 0.99])
def test_the_shortest_runs_move_too(schedule: str, num_steps: int, warmup_fraction: float) -> None:
    factors = curve(schedule, num_steps, warmup_fraction)
    assert all(0 < factor <= 1 and math.isfinite(factor) for factor in factors)
