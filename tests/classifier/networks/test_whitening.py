"""The fitted first layer: what it says of the images it was fitted to is white, by NumPy's account."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from classifier.networks import whitening
from classifier.networks.whitening import WhitenedPatches, fit_first_layer, rows_to_fit


@pytest.fixture
def smooth() -> torch.Tensor:
    """Smooth random images: neighbouring pixels are alike, as in pictures."""
    noise = torch.randn(60, 1, 18, 18, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(noise, 3, stride=1) * 3


def test_the_components_are_uncorrelated_and_of_equal_size(smooth: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whitening, "NOISE_SHARE", 0.0)
    layer = WhitenedPatches(1, size=4, stride=2)
    layer.fit(smooth)
    said_NPHW = layer(smooth)
    assert said_NPHW.shape == (60, 32, 8, 8)
    assert torch.equal(said_NPHW[:, :16], -said_NPHW[:, 16:])
    values_MP = said_NPHW[:, :16].permute(0, 2, 3, 1).reshape(-1, 16).double().numpy()
    np.testing.assert_allclose(values_MP.T @ values_MP / len(values_MP), np.eye(16), atol=1e-3)


def test_with_noise_the_small_components_stay_small(smooth: torch.Tensor) -> None:
    layer = WhitenedPatches(1, size=4, stride=2)
    layer.fit(smooth)
    sizes = layer(smooth)[:, :16].square().mean(dim=(0, 2, 3))
    assert torch.all(sizes[:-1] >= sizes[1:] - 1e-6), "sorted by falling variance"
    assert sizes[0] == pytest.approx(1 / 1.01, rel=1e-3)
    assert sizes[-1] < 0.9


def test_nothing_of_it_is_trained_and_it_is_the_same_every_time(smooth: torch.Tensor) -> None:
    first, again = WhitenedPatches(1, 4, 2), WhitenedPatches(1, 4, 2)
    fit_first_layer(torch.nn.Sequential(first), lambda: smooth)
    fit_first_layer(torch.nn.Sequential(again), lambda: smooth)
    assert torch.equal(first.filters_OChw, again.filters_OChw)
    assert list(first.parameters()) == []


def test_images_of_one_grey_give_finite_filters() -> None:
    layer = WhitenedPatches(3, size=4, stride=2)
    layer.fit(torch.zeros(5, 3, 8, 8))
    assert torch.isfinite(layer.filters_OChw).all()
    assert torch.equal(layer(torch.zeros(1, 3, 8, 8)), torch.zeros(1, 96, 4, 4))


@pytest.mark.parametrize(
    ("num_images", "side", "channels", "expected"),
    [
        (3, 28, 1, [0, 1, 2]),
        (60_000, 28, 1, range(0, 60_000, 12)),
        (50_000, 32, 3, range(0, 50_000, 10)),
        (1, 1024, 3, [0]),
        (8, 1024, 3, [0, 2, 4, 6]),
        (9, 1024, 4, [0, 3, 6]),
    ],
)
def test_the_images_it_is_fitted_to(num_images: int, side: int, channels: int, expected: Sequence[int]) -> None:
    assert rows_to_fit(num_images, channels * side**2).tolist() == list(expected)


def test_of_photographs_it_takes_as_many_patches_as_of_small_images_from_all_classes() -> None:
    """Five thousand of 224×224 pixels in colour would fill tens of gigabytes."""
    rows = rows_to_fit(10_000, 3 * 224 * 224)
    assert len(rows) == 5000 * 3 * 32 * 32 // (3 * 224 * 224) == 102
    assert (rows // 1000).unique().tolist() == list(range(10)), "of a thousand images each, one class after the other"
