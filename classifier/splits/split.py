"""Cuts the validation split, or one to test on, from the training rows; mean and standard deviation of what is left."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError, short_repr
from classifier.images.arrays import Images, Labels, row_slices
from classifier.images.groups import Groups

Rows = NDArray[np.intp]


PURPOSES = {"val_fraction": "validate", "test_fraction": "test"}


def split_rows(
    labels_N: Labels,
    fraction: float,
    seed: int,
    name: str = "val_fraction",
    classes: Sequence[str] | None = None,
    groups_N: Groups | None = None,
) -> tuple[Rows, Rows]:
    """Return the rows to train on and those cut from them, each in rising order.

    `name` (of PURPOSES) and the names of the `classes` stand in an error. Rows of one group of `groups_N` stay together.
    Drawn by `seed`, `fraction` of the rows are cut, stratified: of each class the same share. 0 means none. They are those of
    scikit-learn's train_test_split, without its lists of Python numbers, 80 bytes an image, and without its import. Where
    that would leave a class without an image in either, the class has one there. Raises UserError for a class of one image.
    """
    if fraction == 0:
        return np.arange(len(labels_N)), np.arange(0)
    if groups_N is not None:
        return _split_groups(labels_N, groups_N, fraction, seed, name, classes)
    labels, counts = _classes(labels_N)
    if counts.min() < 2:
        raise UserError(
            f"{name} {fraction} leaves the class {_name(int(labels[counts.argmin()]), classes)} without an image to train on "
            f"or to {PURPOSES[name]} on, as it has only one; add images"
            + (f", or set {name} to 0 for no validation" if name == "val_fraction" else " or remove the class")
        )
    num_cut = math.ceil(fraction * len(labels_N))
    random = np.random.RandomState(seed)
    kept = _shared_out(counts, len(labels_N) - num_cut, random)
    cut = _shared_out(counts - kept, num_cut, random).clip(1, counts - 1)
    is_cut_N = np.zeros(len(labels_N), dtype=np.bool_)
    for label, count, num_cut in zip(labels, counts.tolist(), cut.tolist(), strict=True):
        drawn = random.permutation(count)[count - num_cut :]
        is_cut_N[np.flatnonzero(labels_N == label)[drawn]] = True
    return np.flatnonzero(~is_cut_N), np.flatnonzero(is_cut_N)


def _split_groups(
    labels_N: Labels, groups_N: Groups, fraction: float, seed: int, name: str, classes: Sequence[str] | None
) -> tuple[Rows, Rows]:
    """Class by class whole groups in an order drawn by `seed`: each that brings the share of the class nearer to `fraction`.

    A group counts as one of the class that most of its rows have.
    """
    groups, group_of_row, sizes = np.unique(groups_N, return_inverse=True, return_counts=True)
    class_of_group = _main_classes(labels_N, group_of_row)
    random = np.random.RandomState(seed)
    is_cut = np.zeros(len(groups), dtype=np.bool_)
    for label in np.unique(class_of_group):
        drawn = random.permutation(np.flatnonzero(class_of_group == label))
        is_cut[_nearest(drawn, sizes, fraction)] = True
    is_cut_N = is_cut[group_of_row]
    for label in _classes(labels_N)[0]:
        of_class_N = labels_N == label
        if is_cut_N[of_class_N].all() or not is_cut_N[of_class_N].any():
            num_groups = len(np.unique(groups_N[of_class_N]))
            raise UserError(
                f"{name} {fraction} leaves the class {_name(int(label), classes)} without an image to train on or to "
                f"{PURPOSES[name]} on, as groups stay whole: it has {np.count_nonzero(of_class_N)} images in {num_groups} "
                f"group{'s' if num_groups > 1 else ''}; {_advice(name)} or groups"
            )
    return np.flatnonzero(~is_cut_N), np.flatnonzero(is_cut_N)


def _main_classes(labels_N: Labels, group_of_row: Rows) -> Rows:
    """For each group the label that most of its rows have, of equally many the lowest."""
    order = np.lexsort((labels_N, group_of_row))
    labels, groups = labels_N[order], group_of_row[order]
    starts = np.flatnonzero(np.r_[True, (labels[1:] != labels[:-1]) | (groups[1:] != groups[:-1])])
    counts = np.diff(np.r_[starts, len(order)])
    best_first = np.lexsort((labels[starts], -counts, groups[starts]))
    is_first = np.r_[True, np.diff(groups[starts][best_first]) > 0]
    found: Rows = labels[starts][best_first][is_first]
    return found


def _nearest(drawn: Rows, sizes: Rows, fraction: float) -> list[int]:
    """Those of the `drawn` groups that are cut; of two or more groups one at least, and never all."""
    wanted = fraction * int(sizes[drawn].sum())
    num_cut, cut = 0, []
    for group in drawn.tolist():
        if abs(num_cut + int(sizes[group]) - wanted) < abs(num_cut - wanted):
            num_cut += int(sizes[group])
            cut.append(group)
    smallest = int(drawn[sizes[drawn].argmin()])
    if len(drawn) > 1 and not cut:
        return [smallest]
    return [group for group in cut if group != smallest] if len(cut) == len(drawn) else cut


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


def _advice(name: str) -> str:
    return f"change {name}, or set it to 0 for no validation" if name == "val_fraction" else f"change {name}, or add images"


def _name(label: int, classes: Sequence[str] | None) -> str:
    return str(label) if classes is None else short_repr(classes[label])


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
