"""Cuts the validation split, or one to test on, from the training rows; mean and standard deviation of what is left."""

import math

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError
from classifier.images.arrays import Images, Labels, row_slices

Rows = NDArray[np.intp]


PURPOSES = {"val_fraction": "validate", "test_fraction": "test"}


def split_rows(labels_N: Labels, fraction: float, seed: int, name: str = "val_fraction") -> tuple[Rows, Rows]:
    """Return the rows to train on and those cut from them, each in rising order; `name` (of PURPOSES) stands in an error.

    Drawn by `seed`, `fraction` of the rows are cut, stratified: of each class the same share. 0 means none. They are those of
    scikit-learn's train_test_split, without its lists of Python numbers, 80 bytes an image, and without its import. Raises
    UserError when a class would be left without an image in either.
    """
    if fraction == 0:
        return np.arange(len(labels_N)), np.arange(0)
    classes, counts = _classes(labels_N)
    num_cut = math.ceil(fraction * len(labels_N))
    if counts.min() < 2 or num_cut < len(classes) or len(labels_N) - num_cut < len(classes):
        raise _refusal(labels_N, fraction, name)
    random = np.random.RandomState(seed)
    kept = _shared_out(counts, len(labels_N) - num_cut, random)
    cut = _shared_out(counts - kept, num_cut, random)
    if not kept.all() or not cut.all():
        raise _refusal(labels_N, fraction, name)
    is_cut_N = np.zeros(len(labels_N), dtype=np.bool_)
    for label, count, num_kept, num_left in zip(classes, counts.tolist(), kept.tolist(), cut.tolist(), strict=True):
        drawn = random.permutation(count)[num_kept : num_kept + num_left]
        is_cut_N[np.flatnonzero(labels_N == label)[drawn]] = True
    return np.flatnonzero(~is_cut_N), np.flatnonzero(is_cut_N)


def _classes(labels_N: Labels) -> tuple[Rows, Rows]:
    """The labels that occur, in rising order, and how often each does."""
    counts = np.bincount(labels_N)
    classes = np.flatnonzero(counts)
    return classes, counts[classes]


def _shared_out(counts: Rows, num_draws: int, random: np.random.RandomState) -> Rows:
    """Images of each class among `num_draws`, in proportion to `counts`; of equal remainders `random` rounds up some."""
    shares = counts / counts.sum() * num_draws
    whole = np.floor(shares)
    remainders = shares - whole
    num_missing = int(num_draws - whole.sum())
    for remainder in np.unique(remainders)[::-1]:
        if num_missing <= 0:
            break
        (equal,) = np.where(remainders == remainder)
        rounded_up = random.choice(equal, size=min(len(equal), num_missing), replace=False)
        whole[rounded_up] += 1
        num_missing -= len(rounded_up)
    rounded: Rows = whole.astype(np.intp)
    return rounded


def _refusal(labels_N: Labels, fraction: float, name: str) -> UserError:
    labels, counts = _classes(labels_N)
    advice = f"change {name}, or set it to 0 for no validation" if name == "val_fraction" else f"change {name}, or add images"
    return UserError(
        f"{name} {fraction} leaves some class without an image to train on or to {PURPOSES[name]} on: there are "
        f"{len(labels_N)} images of {len(labels)} classes, {counts.min()} of class {labels[counts.argmin()]}; {advice}"
    )


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
