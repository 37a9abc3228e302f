"""The images that one model has right and the other wrong."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.review.results import Results


@dataclass(frozen=True)
class Flips:
    """Positions of images in the test split, from 0, in its order: an image's row in plots/predictions.csv."""

    lost: NDArray[np.intp]
    """Right before, wrong after."""
    gained: NDArray[np.intp]
    """Wrong before, right after."""


def find_flips(before: Results, after: Results) -> Flips:
    """Needs comparable results."""
    return Flips(np.flatnonzero(before.right_N & ~after.right_N), np.flatnonzero(~before.right_N & after.right_N))


def surest_first(rows: NDArray[np.intp], wrong: Results) -> NDArray[np.intp]:
    """`rows` by the confidence of the side that is wrong about them."""
    confidence = wrong.predictions["confidence"].to_numpy()[rows]
    return rows[np.argsort(-confidence, kind="stable")]


def commonest_mistakes(rows: NDArray[np.intp], wrong: Results, most: int) -> list[tuple[str, str, int]]:
    """Actual class, the class it is taken for, and how many of `rows`: the `most` commonest, ties in class order."""
    pairs = Counter(zip(wrong.actual_N[rows].tolist(), wrong.predicted_N[rows].tolist(), strict=True))
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [(wrong.classes[actual], wrong.classes[predicted], count) for (actual, predicted), count in ordered]
