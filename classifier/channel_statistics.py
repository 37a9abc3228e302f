"""Mean and standard deviation of each channel, from exact whole-number sums."""

import math

import numpy as np

from classifier.blocks import Images, row_slices

PIXEL_MAX = 255


def channel_statistics(images_NCHW: Images) -> tuple[list[float], list[float]]:
    """Return mean and (population) standard deviation of each channel, in units of 1/255; N must be at least 1.

    The sums are of whole numbers, so the order and the size of the blocks do not change a digit. The deviation of a channel
    that is the same everywhere is given as 1, so that dividing by it is harmless.
    """
    num_channels = images_NCHW.shape[1]
    count = images_NCHW.size // num_channels
    sums, square_sums = [0] * num_channels, [0] * num_channels
    for rows in row_slices(len(images_NCHW), images_NCHW[0].size):
        for channel in range(num_channels):
            pixels = images_NCHW[rows, channel].astype(np.uint16)
            sums[channel] += int(pixels.sum(dtype=np.uint64))
            square_sums[channel] += int(np.square(pixels).sum(dtype=np.uint64))  # 255² still fits in 16 bits
    means = [total / (count * PIXEL_MAX) for total in sums]
    variances = [count * squares - total**2 for total, squares in zip(sums, square_sums, strict=True)]  # times count²
    return means, [math.sqrt(variance) / (count * PIXEL_MAX) or 1.0 for variance in variances]
