"""Mean and deviation of channels, against the exact arithmetic of Python's `statistics`."""

import statistics

import numpy as np
import pytest

from classifier.splits.split import channel_statistics

IMAGES_NCHW = np.random.default_rng(0).integers(0, 256, (50, 3, 5, 4), dtype=np.uint8)
IMAGES_NCHW[:, 1] //= 50


def test_each_channel_agrees_with_exact_arithmetic() -> None:
    mean, std = channel_statistics(IMAGES_NCHW)
    for channel in range(3):
        pixels = IMAGES_NCHW[:, channel].reshape(-1).tolist()
        assert mean[channel] == pytest.approx(statistics.mean(pixels) / 255, rel=1e-15)
        assert std[channel] == pytest.approx(statistics.pstdev(pixels) / 255, rel=1e-15)


def test_neither_order_nor_blocks_change_a_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = channel_statistics(IMAGES_NCHW)
    assert channel_statistics(IMAGES_NCHW[::-1]) == reference
    monkeypatch.setattr("classifier.images.arrays.BLOCK_BYTES", 7 * IMAGES_NCHW[0].size)
    assert channel_statistics(IMAGES_NCHW) == reference


def test_sums_beyond_32_bits_are_exact() -> None:
    assert channel_statistics(np.full((20, 1, 100, 100), 255, dtype=np.uint8)) == ([1.0], [1.0])
    half = np.zeros((200, 1, 100, 100), dtype=np.uint8)
    half[::2] = 255
    assert channel_statistics(half) == ([0.5], [0.5])


def test_the_deviation_of_a_constant_channel_is_given_as_one() -> None:
    images_NCHW = np.stack([np.full((4, 2, 2), 51, dtype=np.uint8), IMAGES_NCHW[:4, 0, :2, :2]], axis=1)
    mean, std = channel_statistics(images_NCHW)
    assert (mean[0], std[0]) == (0.2, 1.0)
    assert std[1] != 1.0
