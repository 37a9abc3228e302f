"""What is worked out from the predictions: the metrics with their intervals, and the calibration."""

from dataclasses import dataclass

import numpy as np

from tools.report.calibration import Calibration, calibration
from tools.review.intervals import metric_intervals
from tools.review.results import Results
from tools.review.statistics import Interval
from tools.review.verdicts import ACCURACY, LOSS, MACRO_F1

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
