"""Hashed dropout: against the published generator, the binomial law, and what its documentation promises."""

import math

import pytest
import torch
from scipy.stats import binom, chisquare
from torch import Tensor, nn

from classifier.networks.layers import Dropout, DropoutKeys, StochasticDepth, split_mix

CPU = torch.device("cpu")


def some_keys(count: int, seed: int = 0) -> Tensor:
    return torch.randint(-(2**63), 2**63 - 1, (count,), generator=torch.Generator().manual_seed(seed))


def kept_by(layer: Dropout, shape: tuple[int, ...], keys_N: Tensor) -> Tensor:
    layer.keys_N = keys_N
    dropped: Tensor = layer(torch.ones(shape))
    return dropped != 0


def test_the_words_are_those_of_the_published_split_mix_64() -> None:
    """From the reference implementation by Vigna, for the states 0 and 1234567."""
    words = split_mix(torch.tensor([0, 1234567]), 5)
    assert [hex(word % 2**64) for word in words[0, :3].tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]
    assert [word % 2**64 for word in words[1].tolist()] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_the_numbers_of_dropped_values_follow_the_binomial_law(rate: float) -> None:
    """Of an image's 64 values, over 20,000 images; outcomes expected less than 5 times are put together."""
    dropped = (~kept_by(Dropout(rate), (20_000, 64), some_keys(20_000))).sum(dim=1)
    expected = 20_000 * binom.pmf(range(65), 64, rate)
    seen = torch.bincount(dropped, minlength=65).double().numpy()
    usual = expected >= 5
    seen_in_bins = [*seen[usual], seen[~usual].sum()]
    expected_in_bins = [*expected[usual], expected[~usual].sum()]
    assert chisquare(seen_in_bins, expected_in_bins).pvalue > 1e-4


def test_each_place_of_an_image_is_dropped_as_often_as_any_other() -> None:
    dropped_M = (~kept_by(Dropout(0.3), (20_000, 50), some_keys(20_000))).sum(dim=0)
    deviations = (dropped_M - 6000) / math.sqrt(20_000 * 0.3 * 0.7)
    assert deviations.abs().max() < 4.5


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5, 8, 64])
def test_neighbours_are_dropped_independently(distance: int) -> None:
    """Both of a pair are dropped in 9 % of the pairs, within 4.5 standard deviations."""
    dropped_NM = ~kept_by(Dropout(0.3), (4000, 256), some_keys(4000))
    both = dropped_NM[:, distance:] & dropped_NM[:, :-distance]
    assert both.double().mean() == pytest.approx(0.09, abs=4.5 * math.sqrt(0.09 * 0.91 / both.numel()) * 1.5)


def test_keys_that_differ_by_one_bit_give_independent_masks() -> None:
    keys_N = some_keys(2000)
    for bit in (0, 1, 31, 62):
        agree = kept_by(Dropout(0.5), (2000, 256), keys_N) == kept_by(Dropout(0.5), (2000, 256), keys_N ^ (1 << bit))
        assert agree.double().mean() == pytest.approx(0.5, abs=4.5 * 0.5 / math.sqrt(agree.numel()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_kept_is_divided_by_the_share_that_is_kept(dtype: torch.dtype) -> None:
    """The rate 0.3 becomes 19661 of 65536 draws; 0.25 is exact. The product is rounded once."""
    values = torch.randn(64, 32, 6, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    for rate, scale in ((0.3, 65536 / (65536 - 19661)), (0.25, 4 / 3)):
        layer = Dropout(rate)
        layer.keys_N = some_keys(64)
        dropped = layer(values)
        kept = dropped != 0
        assert dropped.dtype == dtype
        scale_there = scale if dtype == torch.float64 else float(torch.tensor(scale, dtype=torch.float32))
        assert torch.equal(dropped[kept], (values[kept].double() * scale_there).to(dtype))
        assert (~kept).double().mean() == pytest.approx(rate, abs=0.01)


def test_the_gradient_is_the_mask_times_the_scale() -> None:
    values = torch.randn(8, 5, 3, 3, requires_grad=True)
    layer = Dropout(0.3)
    layer.keys_N = some_keys(8)
    dropped = layer(values)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, (dropped != 0) * layer.scale, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape_C", [(7,), (32,), (3, 5, 2), (32, 6, 6)])
def test_an_image_has_the_same_mask_in_whatever_batch_and_memory_layout(shape_C: tuple[int, ...]) -> None:
    layer, keys_N = Dropout(0.5), some_keys(10)
    whole = kept_by(layer, (10, *shape_C), keys_N)
    order = torch.tensor([7, 2, 9])
    assert torch.equal(kept_by(layer, (3, *shape_C), keys_N[order]), whole[order])
    if len(shape_C) == 3:
        layer.keys_N = keys_N
        channels_last = layer(torch.ones(10, *shape_C).to(memory_format=torch.channels_last))
        assert torch.equal(channels_last != 0, whole)
        assert channels_last.is_contiguous(memory_format=torch.channels_last)


def test_epochs_layers_and_seeds_have_independent_masks_and_repeat() -> None:
    network = nn.Sequential(Dropout(0.5), nn.Identity(), Dropout(0.5))

    def masks(seed: int, epoch: int) -> list[Tensor]:
        DropoutKeys(network, 500, seed, epoch, CPU).choose(torch.arange(100, 300))
        return [layer(torch.ones(200, 64)) != 0 for layer in network if isinstance(layer, Dropout)]

    first = masks(0, 1)
    assert all(torch.equal(mask, again) for mask, again in zip(first, masks(0, 1), strict=True))
    for mask, other in [(first[0], first[1]), *zip(first, masks(0, 2), strict=True), *zip(first, masks(1, 1), strict=True)]:
        assert (mask == other).double().mean() == pytest.approx(0.5, abs=4.5 * 0.5 / math.sqrt(mask.numel()))


def test_nothing_is_dropped_in_evaluation() -> None:
    values = torch.randn(4, 3)
    assert Dropout(0.5).eval()(values) is values


@pytest.mark.parametrize("threads", [1, 2])
def test_the_mask_is_that_of_plain_python_with_any_number_of_threads(threads: int) -> None:
    """Channels vary fastest; a word's lowest 16 bits, signed, are its first draw; the lowest 30 % are dropped."""
    num_images, channels, side = 16, 32, 12

    def draws(key: int) -> list[int]:
        words = []
        for counter in range(1, channels * side**2 // 4 + 1):
            word = (key + counter * 0x9E3779B97F4A7C15) % 2**64
            word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
            word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
            words.append(word ^ word >> 31)
        return [(word >> shift) % 2**16 for word in words for shift in (0, 16, 32, 48)]

    plain = torch.tensor([draws(key) for key in range(num_images)])
    plain[plain >= 2**15] -= 2**16
    expected = (plain >= round(0.3 * 2**16) - 2**15).view(num_images, side, side, channels).permute(0, 3, 1, 2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        kept = kept_by(Dropout(0.3), (num_images, channels, side, side), torch.arange(num_images))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(kept, expected)


@pytest.mark.parametrize("rate", [-0.1, 0.0, 1.0, float("1e-9")])
def test_a_rate_that_drops_nothing_or_everything_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="needs a rate above 0 and below 1, got"):
        Dropout(rate)


def images_kept(layer: StochasticDepth, keys_N: Tensor, shape: tuple[int, ...] = (3, 2, 2)) -> Tensor:
    """One truth an image; all of its values share it, or this fails."""
    kept = layer(torch.ones(len(keys_N), *shape)).flatten(1) != 0
    assert (kept.all(dim=1) | ~kept.any(dim=1)).all()
    return kept[:, 0]


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5])
def test_stochastic_depth_drops_whole_images_by_the_binomial_law(rate: float) -> None:
    layer, keys_N = StochasticDepth(rate), some_keys(40_000)
    layer.choose(keys_N)
    for _ in range(3):
        num_dropped = int((~images_kept(layer, keys_N)).sum())
        assert 0.001 < binom.cdf(num_dropped, 40_000, rate) < 0.999
    values = layer(torch.full((40_000, 2), 3.0))
    assert values.unique().tolist() == [0.0, pytest.approx(3 / (1 - rate), rel=1e-4)]


def test_each_call_of_stochastic_depth_draws_anew_and_each_step_again() -> None:
    """Two calls of rate 1/2 agree on half of the images, more or less."""
    layer, keys_N = StochasticDepth(0.5), some_keys(10_000)
    rounds = []
    for _ in range(2):
        layer.choose(keys_N)
        rounds.append([images_kept(layer, keys_N) for _ in range(6)])
    assert all(torch.equal(first, again) for first, again in zip(*rounds, strict=True))
    for call in range(1, 6):
        assert 0.48 < (rounds[0][0] == rounds[0][call]).double().mean() < 0.52


def test_stochastic_depth_of_an_image_is_the_same_in_whatever_batch_and_off_in_evaluation() -> None:
    layer, keys_N = StochasticDepth(0.5), some_keys(64)
    layer.choose(keys_N)
    together = images_kept(layer, keys_N)
    layer.choose(keys_N[5:9])
    assert torch.equal(images_kept(layer, keys_N[5:9], shape=(7,)), together[5:9])
    assert images_kept(layer.eval(), keys_N).all()
