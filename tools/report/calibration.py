"""Metrics with intervals, and whether the model is right as often as it says. Legend: N images, B bins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from record.results import Results
from record.statistics import LEVEL, SEED, Interval, share_interval
from record.verdicts import ACCURACY, LOSS, MACRO_F1, metric_intervals

NUM_BINS = 15
"""Of equal width; bin b holds the confidences above b/15 and up to (b + 1)/15."""
NUM_DRAWS = 1000


@dataclass(frozen=True)
class Bin:
    """The images whose confidence is above `low` and up to `high`: one at least."""

    low: float
    high: float
    num_images: int
    confidence: float
    """Their mean."""
    right: Interval
    """The share of them that is right, with Wilson's interval."""


@dataclass(frozen=True)
class Calibration:
    """Bins without images are left out."""

    bins: list[Bin]
    error: float
    """The expected calibration error, 0 to 1."""
    error_by_chance: float
    """What it stays below in 95 of 100 perfectly calibrated models with the same confidences on as many images."""


def calibration(confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> Calibration:
    """Confidences are 0 to 1; one image at least."""
    edges = np.arange(NUM_BINS + 1) / NUM_BINS
    bin_N = np.searchsorted(edges[1:-1], confidence_N, side="left")
    bins = []
    for index in np.unique(bin_N):
        of_bin_N = bin_N == index
        num_images = int(of_bin_N.sum())
        right = share_interval(int(right_N[of_bin_N].sum()), num_images)
        bins.append(Bin(float(edges[index]), float(edges[index + 1]), num_images, float(confidence_N[of_bin_N].mean()), right))
    return Calibration(bins, _error(bin_N, confidence_N, right_N), _error_by_chance(bin_N, confidence_N))


def _error(bin_N: NDArray[np.intp], confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> float:
    """The images of a bin cancel out of n/N · |right/n - confidence/n|."""
    return float(np.abs(np.bincount(bin_N, right_N - confidence_N)).sum() / len(bin_N))


def _error_by_chance(bin_N: NDArray[np.intp], confidence_N: NDArray[np.float64]) -> float:
    """Draw which images are right from their confidences (consistency resampling, Bröcker & Smith 2007)."""
    rng = np.random.default_rng(SEED)
    errors = [_error(bin_N, confidence_N, rng.random(len(bin_N)) < confidence_N) for _ in range(NUM_DRAWS)]
    return float(np.quantile(errors, 1 - LEVEL, method="higher"))


METHODS = {ACCURACY: "Wilson", LOSS: "bootstrap-t over images", MACRO_F1: "Wilson, effective images"}
"""How the interval of each metric is found."""


@dataclass(frozen=True)
class Figures:
    """Of one run."""

    intervals: dict[str, Interval]
    """By the name in metrics/test.json: those of METHODS."""
    calibration: Calibration


def work_out(results: Results) -> Figures:
    """Takes a second for 10,000 images."""
    confidence_N = results.predictions["confidence"].to_numpy(dtype=np.float64)
    return Figures(metric_intervals(results), calibration(confidence_N, results.right_N))
