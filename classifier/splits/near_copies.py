"""Near copies: pictures that are the same but for another compression, a resize and back, a small shift, or brightness.

1. Each image gets a *signature*, the shares of its lowest spatial frequencies, which neither brightness nor a shift changes
   much. They are shares of the roots of the amplitudes, so that a blur takes from all frequencies alike.
2. Images near each other in the lowest of these frequencies (a k-d tree finds them), and alike in all, are candidates.
3. Two candidates are laid upon each other at the best of all shifts up to MAX_SHIFT pixels; where they overlap they are blurred
   and compared.

All sums are of whole numbers below 2**53, so neither threads nor the order of adding change a bit. Of images that are equal in
every pixel only the first takes part. An image is compared with its NEIGHBOURS nearest at most, so time stays bounded where all
are alike. The search takes some 300 bytes an image.

Legend: N images, F frequencies, P pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree  # now: later, without 32 MB to spare, its OpenBLAS would ask for them for ever

from classifier.images.arrays import Images, row_slices
from classifier.splits.digests import Digests, all_digests

Floats = NDArray[np.float64]
Signatures = NDArray[np.int16]
Rows = NDArray[np.int64]

MAX_DIFFERENCE = 0.06
"""Of a near copy. 1 is the deviation of an image's pixels."""
MAX_DULL_DIFFERENCE, MAX_GREY_DIFFERENCE = 0.12, 300 / 28
"""Images of little contrast may differ by the first, where they differ by no more than the second in grey levels."""
MAX_SHIFT = 2
MIN_SIDE, MAX_SIDE = 16, 64
"""In pixels. Smaller images are not compared; larger ones are first reduced to the second or below."""
MAX_IMAGES = 100_000
"""Among more, no search is made."""
BLUR = (1, 8, 28, 56, 70, 56, 28, 8, 1)
"""Fine detail is what compression and resizing change."""
KEPT = 4096
"""Of the blur's 65536 parts a sixteenth: sums of squares stay below 2**53."""
MIN_DEVIATION = 2
"""In grey levels. Images of less are as good as of one colour."""
NUM_FREQUENCIES = 4
"""In each direction: 40 in all."""
LOWEST = 2
"""In each direction: 12 in all, of the tree."""
SCALE = 4000
"""The sum of a signature's parts."""
MAX_LOWEST_DISTANCE, MAX_DISTANCE = 60, 80
"""Euclidean, of two signatures of the lowest and of all frequencies."""
NEIGHBOURS = 4


@dataclass(frozen=True, order=True)
class NearCopy:
    """Row `row` of `split` and an earlier image, and how much they differ: 0 for not at all, but for shift and brightness."""

    difference: float
    split: str
    row: int
    earlier_split: str
    earlier_row: int

    @property
    def is_across(self) -> bool:
        """Whether the two are of different splits."""
        return self.split != self.earlier_split


def find_near_copies(splits: Mapping[str, Images], digests: Mapping[str, Digests] | None = None) -> list[NearCopy] | None:
    """All pairs that were found, the nearest first; None for too many or too small images. Equal images are no pair.

    `digests` are those of the images, if they are known already.
    """
    names = list(splits)
    sides = next(iter(splits.values())).shape[2:]
    if min(sides) < MIN_SIDE or sum(map(len, splits.values())) > MAX_IMAGES:
        return None
    starts = np.cumsum([0, *(len(images_NCHW) for images_NCHW in splits.values())])
    pairs_P2 = _candidates(_all_signatures(splits), _firsts(digests or all_digests(splits)))
    differences_P = _compare(splits, starts, pairs_P2)
    found: list[NearCopy] = []
    for place in np.flatnonzero(np.isfinite(differences_P)).tolist():
        (earlier, later), splits_of = pairs_P2[place].tolist(), np.searchsorted(starts, pairs_P2[place], side="right") - 1
        found.append(
            NearCopy(
                round(float(differences_P[place]), 4),
                names[splits_of[1]],
                later - int(starts[splits_of[1]]),
                names[splits_of[0]],
                earlier - int(starts[splits_of[0]]),
            )
        )
    return sorted(found)


def _compare(splits: Mapping[str, Images], starts: Rows, pairs_P2: Rows) -> Floats:
    """The differences of the pairs at their best shifts, infinite for those that are no near copies."""
    channels, *sides = next(iter(splits.values())).shape[1:]
    levels = channels * _factor(sides) ** 2  # of the sums that are compared, for each grey level
    bytes_per_pair = 16 * channels * int(np.prod(sides))
    shifts_P = np.empty(len(pairs_P2), dtype=np.int64)
    for some in row_slices(len(pairs_P2), bytes_per_pair):
        shifts_P[some] = _best_shifts(*(_reduced(_take(splits, starts, rows)) for rows in pairs_P2[some].T))
    differences_P = np.full(len(pairs_P2), np.inf)
    for shift, (down, right) in enumerate(_SHIFTS):
        places = np.flatnonzero(shifts_P == shift)
        for some in row_slices(len(places), bytes_per_pair):
            one, other = (_reduced(_take(splits, starts, rows)) for rows in pairs_P2[places[some]].T)
            one, other = _overlap(one, down, right), _overlap(other, -down, -right)
            found = _differences(_blurred(one), _blurred(other), MIN_DEVIATION * levels * (sum(BLUR) ** 2 // KEPT))
            is_near = ((one - other) ** 2).mean(axis=(1, 2)) <= (MAX_GREY_DIFFERENCE * levels) ** 2
            limits = np.where(is_near, MAX_DULL_DIFFERENCE, MAX_DIFFERENCE)
            differences_P[places[some]] = np.where(found <= limits, found, np.inf)
    return differences_P


def _take(splits: Mapping[str, Images], starts: Rows, rows_P: Rows) -> Images:
    """The images at places among those of all splits."""
    first = next(iter(splits.values()))
    taken = np.empty((len(rows_P), *first.shape[1:]), dtype=np.uint8)
    for start, images_NCHW in zip(starts.tolist(), splits.values(), strict=False):
        here = (rows_P >= start) & (rows_P < start + len(images_NCHW))
        taken[here] = images_NCHW[rows_P[here] - start]
    return taken


def _firsts(digests: Mapping[str, Digests]) -> Rows:
    """The rows of all splits without those that equal an earlier one in every pixel."""
    return np.sort(np.unique(np.concatenate(list(digests.values())), return_index=True)[1])


def _all_signatures(splits: Mapping[str, Images]) -> Signatures:
    blocks = (
        _signatures(_reduced(images_NCHW[some]))
        for images_NCHW in splits.values()
        for some in row_slices(len(images_NCHW), 8 * images_NCHW[0].size)
    )
    return np.concatenate(list(blocks))


def _factor(sides: Sequence[int]) -> int:
    return -(-max(sides) // MAX_SIDE)


def _reduced(images_NCHW: Images) -> Floats:
    """Grey images of at most MAX_SIDE pixels a side, as sums."""
    factor = _factor(images_NCHW.shape[2:])
    height, width = (side // factor for side in images_NCHW.shape[2:])
    images_NHW = images_NCHW.sum(axis=1, dtype=np.int32)[:, : height * factor, : width * factor]
    if factor > 1:
        images_NHW = images_NHW.reshape(-1, height, factor, width, factor).sum(axis=(2, 4), dtype=np.int32)
    grey_NHW: Floats = images_NHW.astype(np.float64)
    return grey_NHW


def _waves(side: int) -> Floats:
    """Cosines of the frequencies 0 to NUM_FREQUENCIES, then sines of those from 1 on, in whole numbers."""
    angles = 2 * np.pi * np.outer(np.arange(NUM_FREQUENCIES + 1), np.arange(side)) / side
    waves: Floats = np.rint(64 * np.concatenate([np.cos(angles), np.sin(angles[1:])]))
    return waves


def _signatures(images_NHW: Floats) -> Signatures:
    """The root of the strength of each frequency (Fourier's amplitude) in parts of SCALE; all 0 without any contrast."""
    num_images, height, width = images_NHW.shape
    centred_NHW = images_NHW - np.rint(images_NHW.mean(axis=(1, 2), keepdims=True))
    across = np.einsum("nhw,fw->nhf", centred_NHW, _waves(width))  # `@` would have BLAS set 32 MB aside
    sums = np.einsum("gh,nhf->ngf", _waves(height), across)
    cosines, sines = slice(0, NUM_FREQUENCIES + 1), slice(NUM_FREQUENCIES + 1, None)
    parts = np.zeros((4, num_images, NUM_FREQUENCIES + 1, NUM_FREQUENCIES + 1))
    for part, ups, rights in ((0, cosines, cosines), (1, sines, sines), (2, sines, cosines), (3, cosines, sines)):
        found = sums[:, ups, rights]
        parts[part, :, -found.shape[1] :, -found.shape[2] :] = found
    roots = []
    for sign in (1, -1):
        real, imaginary = parts[0] - sign * parts[1], parts[2] + sign * parts[3]
        root = np.rint(8 * np.sqrt(np.sqrt(real * real + imaginary * imaginary)))
        roots.append(root[:, 1:, 1:] if sign == -1 else root)
    return _shares(np.concatenate([root.reshape(num_images, -1) for root in roots], axis=1)[:, 1:])


_FREQUENCIES = [
    *((up, right) for up in range(NUM_FREQUENCIES + 1) for right in range(NUM_FREQUENCIES + 1) if up or right),
    *((up, right) for up in range(1, NUM_FREQUENCIES + 1) for right in range(1, NUM_FREQUENCIES + 1)),
]
"""Of the parts of a signature, without their signs."""


def _shares(parts_NF: Floats | Signatures) -> Signatures:
    totals_N1 = parts_NF.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.asarray(np.floor(SCALE * parts_NF.astype(np.float64) / np.maximum(totals_N1, 1)), dtype=np.int16)


def _candidates(signatures_NF: Signatures, rows_N: Rows) -> Rows:
    """Pairs of the rows, the lower one first, in rising order: those with signatures alike."""
    rows_N = rows_N[signatures_NF[rows_N].any(axis=1)]
    is_lowest = [max(frequency) <= LOWEST for frequency in _FREQUENCIES]
    lowest_NF = _shares(signatures_NF[rows_N][:, is_lowest])
    order_N = np.lexsort(lowest_NF.T)  # stable: equal ones in the order of their rows
    rows_N, lowest_NF = rows_N[order_N], lowest_NF[order_N]
    is_new = np.append(True, (lowest_NF[1:] != lowest_NF[:-1]).any(axis=1))[: len(rows_N)]
    found = [np.empty((0, 2), dtype=np.int64)]
    run_N = np.cumsum(is_new)
    for step in range(1, NEIGHBOURS + 1):  # a tree of many equal points would compare each with each
        places = np.flatnonzero(run_N[step:] == run_N[:-step])
        found.append(np.stack([rows_N[places], rows_N[places + step]], axis=1))
    rows_N, lowest_NF = rows_N[is_new], lowest_NF[is_new]
    if len(rows_N):
        tree = KDTree(lowest_NF)
        for some in row_slices(len(rows_N), 64 * lowest_NF.shape[1]):
            _, near_NK = tree.query(lowest_NF[some], NEIGHBOURS + 1, distance_upper_bound=MAX_LOWEST_DISTANCE, workers=2)
            one, place = np.nonzero((near_NK < len(rows_N)) & (near_NK != np.arange(some.start, some.stop)[:, np.newaxis]))
            found.append(rows_N[np.stack([one + some.start, near_NK[one, place]], axis=1)])
    pairs_P2 = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    is_near = [
        ((signatures_NF[pairs[:, 0]].astype(np.int32) - signatures_NF[pairs[:, 1]]) ** 2).sum(axis=1) <= MAX_DISTANCE**2
        for pairs in (pairs_P2[some] for some in row_slices(len(pairs_P2), 16 * len(is_lowest)))
    ]
    return pairs_P2[np.concatenate(is_near)] if is_near else pairs_P2


_SHIFTS = sorted(
    ((down, right) for down in range(-MAX_SHIFT, MAX_SHIFT + 1) for right in range(-MAX_SHIFT, MAX_SHIFT + 1)),
    key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift),
)
"""Down and to the right, the least first."""


def _best_shifts(one_PHW: Floats, other_PHW: Floats) -> Rows:
    """For each pair the place in _SHIFTS where the middle of the first correlates best with the second."""
    height, width = (side - 2 * MAX_SHIFT for side in one_PHW.shape[1:])
    middle_PHW = one_PHW[:, MAX_SHIFT:-MAX_SHIFT, MAX_SHIFT:-MAX_SHIFT]
    sum_P = middle_PHW.sum(axis=(1, 2))
    best_P, shifts_P = np.full(len(one_PHW), -np.inf), np.zeros(len(one_PHW), dtype=np.int64)
    for shift, (down, right) in enumerate(_SHIFTS):
        top, left = MAX_SHIFT - down, MAX_SHIFT - right
        window_PHW = other_PHW[:, top : top + height, left : left + width]
        window_sum_P = window_PHW.sum(axis=(1, 2))
        product_P = height * width * np.einsum("phw,phw->p", middle_PHW, window_PHW) - sum_P * window_sum_P
        square_P = height * width * np.einsum("phw,phw->p", window_PHW, window_PHW) - window_sum_P**2
        correlation_P = product_P / np.sqrt(np.maximum(square_P, 1))
        shifts_P[correlation_P > best_P] = shift
        best_P = np.maximum(best_P, correlation_P)
    return shifts_P


def _overlap(images_PHW: Floats, down: int, right: int) -> Floats:
    """What of the images lies upon another one that is shifted."""
    return images_PHW[:, max(down, 0) : min(down, 0) or None, max(right, 0) : min(right, 0) or None]


def _blurred(images_NHW: Floats) -> Floats:
    edge = len(BLUR) // 2
    height, width = images_NHW.shape[1:]
    padded = np.pad(images_NHW, ((0, 0), (edge, edge), (edge, edge)), mode="edge")
    down = np.zeros((len(images_NHW), height, width + 2 * edge))
    across = np.zeros(images_NHW.shape)
    for at, part in enumerate(BLUR):
        down += part * padded[:, at : at + height]
    for at, part in enumerate(BLUR):
        across += part * down[:, :, at : at + width]
    return np.asarray(np.rint(across / KEPT), dtype=np.float64)


def _differences(one_PHW: Floats, other_PHW: Floats, least_deviation: int) -> Floats:
    """Root mean square of the differences of each pair, both with mean 0 and deviation 1."""
    count = one_PHW[0].size
    sums = [image_PHW.sum(axis=(1, 2)) for image_PHW in (one_PHW, other_PHW)]
    products = [np.einsum("phw,phw->p", *two) for two in ((one_PHW, one_PHW), (other_PHW, other_PHW), (one_PHW, other_PHW))]
    one, other, both = (
        count * products[place] - sums[first] * sums[second] for place, first, second in ((0, 0, 0), (1, 1, 1), (2, 0, 1))
    )
    has_contrast = np.minimum(one, other) >= (count * least_deviation) ** 2
    correlation = np.where(has_contrast, both / np.sqrt(np.where(has_contrast, one * other, 1)), -1)
    return np.asarray(np.sqrt(2 * np.maximum(1 - correlation, 0)), dtype=np.float64)
