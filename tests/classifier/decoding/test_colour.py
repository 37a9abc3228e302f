"""Channels as asked, against Pillow's own conversion."""

import numpy as np
import pytest
from PIL import Image

from classifier.decoding.resize import coloured

RNG = np.random.default_rng(0)
LABELS_N = np.arange(5)


def test_luma_is_pillows() -> None:
    images_NCHW = RNG.integers(0, 256, (5, 3, 40, 50), dtype=np.uint8)
    ((grey_NCHW, labels_N),) = coloured([(images_NCHW, LABELS_N)], 1)
    reference = [np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")) for image in images_NCHW]
    np.testing.assert_array_equal(grey_NCHW[:, 0], reference)
    assert (grey_NCHW.shape, grey_NCHW.dtype) == ((5, 1, 40, 50), np.uint8)
    np.testing.assert_array_equal(labels_N, LABELS_N)


def test_grey_three_times() -> None:
    images_NCHW = RNG.integers(0, 256, (5, 1, 4, 6), dtype=np.uint8)
    ((rgb_NCHW, _),) = coloured([(images_NCHW, LABELS_N)], 3)
    np.testing.assert_array_equal(rgb_NCHW, np.concatenate([images_NCHW] * 3, axis=1))


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_so_already_passes(channels: int) -> None:
    block = (RNG.integers(0, 256, (5, channels, 4, 6), dtype=np.uint8), LABELS_N)
    assert list(coloured([block], channels)) == [block]
