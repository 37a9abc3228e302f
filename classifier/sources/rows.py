"""Rows of a person's table as they are read from any kind of file, and the range of their pixels.

Legend: N rows of a block, P pixels of an image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError
from classifier.images.arrays import Images

Numbers = NDArray[np.number[Any]]


@dataclass(frozen=True)
class Rows:
    """`pixels_NP` as the table has them; `labels_N` and `splits_N` are texts, None where the table has no such column."""

    labels_N: list[str] | None
    splits_N: list[str] | None
    pixels_NP: Numbers


@dataclass
class PixelRange:
    """Of all pixels seen: the least and the largest, and whether all are whole numbers."""

    least: float = math.inf
    largest: float = -math.inf
    whole: bool = True

    def take(self, pixels_NP: Numbers | Images) -> None:
        """See these too."""
        if pixels_NP.size:
            self.least = min(self.least, float(pixels_NP.min()))
            self.largest = max(self.largest, float(pixels_NP.max()))
            self.whole = self.whole and (pixels_NP.dtype.kind in "ui" or bool((pixels_NP == np.rint(pixels_NP)).all()))

    def __str__(self) -> str:
        return f"{self.least:g} to {self.largest:g}"


def joined(ranges: Sequence[PixelRange]) -> PixelRange:
    """Of the pixels of all tables."""
    return PixelRange(min(one.least for one in ranges), max(one.largest for one in ranges), all(one.whole for one in ranges))


WHITE = 255
KNOWN = (1, 15, 16)
"""Values of white that a largest pixel of just that number is taken for."""
DARK = 128
"""Whole pixels that all lie below it may be of another range than 0 to 255."""


def find_white(where: str, found: PixelRange, asked: int | None) -> tuple[int, list[str]]:
    """The pixel value of white, and lines for the person. Raises UserError where pixels of this range may mean several things.

    As `asked`, where that is given. Whole numbers to 255 are as they are; numbers from 0 to 1, and whole ones to 15 or 16, are
    scaled.
    """
    if found.least < 0 or (asked and found.largest > asked):
        needed = f"0 to {asked}, as pixel_max says" if asked else "0 on"
        raise UserError(f"{where}: needs pixels from {needed}, found {found}; write a table of pixels from 0 to 255")
    if asked:
        return asked, [] if asked == WHITE else [f"pixels from 0 to {asked} (pixel_max) are scaled to 0 to 255"]
    if found.largest in KNOWN if found.whole else found.largest <= 1:
        white = int(found.largest) if found.whole else 1
        return white, [f"the pixels lie within 0 to {white}, and are scaled to 0 to 255"]
    if found.largest > WHITE or 1 < found.largest < KNOWN[-1] or not (found.whole or found.largest >= DARK):
        raise UserError(
            f"{where}: pixels from {found} could be of several ranges; say the value of white, such as "
            f"-S pixel_max={_likely_white(found)}"
        )
    notes = []
    if not found.whole:
        notes.append(f"the pixels ({found}) are rounded to whole numbers from 0 to 255")
    if 0 < found.largest < DARK:
        largest = f"{found.largest:g}"
        notes.append(f"the lightest of all pixels is {largest} of 255; if that is white, say -S pixel_max={largest}")
    return WHITE, notes


def _likely_white(found: PixelRange) -> int:
    """The largest number of as many bits as the largest pixel; that pixel itself where it is small, or a power of two."""
    largest = math.ceil(found.largest)
    power = 2 ** (largest - 1).bit_length()
    return largest if largest == power or (found.whole and largest < KNOWN[-1]) else power - 1


CHANNELS = 3
MIN_SIDE = 4
NEARER = 0.8


def seem_interleaved(pixels_NP: Numbers | Images) -> bool:
    """Whether images of three squares look like red, green, blue of one pixel after another: each third number is the nearer.

    In channels one after another the next number is the neighbour's, and as good as never further away than the third.
    """
    side = math.isqrt(pixels_NP.shape[1] // CHANNELS)
    if (
        CHANNELS * side * side != pixels_NP.shape[1]
        or math.isqrt(pixels_NP.shape[1]) ** 2 == pixels_NP.shape[1]
        or side < MIN_SIDE
    ):
        return False
    values_NP = pixels_NP.astype(np.float64)
    next_one, third = (np.abs(values_NP[:, step:] - values_NP[:, :-step]).mean() for step in (1, CHANNELS))
    return bool(third < NEARER * next_one)


def planar(pixels_NP: Numbers) -> Numbers:
    """Red, green, blue of one pixel after another as all red, all green, all blue."""
    num_rows, num_pixels = pixels_NP.shape
    planes: Numbers = (
        pixels_NP.reshape(num_rows, num_pixels // CHANNELS, CHANNELS).transpose(0, 2, 1).reshape(num_rows, num_pixels)
    )
    return planes


def scaled(pixels_NP: Numbers, white: int) -> Images:
    """Pixels from 0 to `white` as whole numbers from 0 to 255."""
    if white == WHITE and pixels_NP.dtype.kind == "i":
        return pixels_NP.astype(np.uint8)
    images: Images = np.rint(pixels_NP * (WHITE / white)).astype(np.uint8)
    return images
