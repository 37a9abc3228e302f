"""What is worked out from the predictions: the metrics with their intervals, and the calibration."""

from dataclasses import dataclass

import numpy as np

from tools.report.calibration import Calibration, calibration
from tools.review.results import Results
from tools.review.statistics import Interval, macro_f1_level, mean_interval, share_interval
from tools.review.verdicts import ACCURACY, LOSS, MACRO_F1

METHODS = {ACCURACY: "Wilson", LOSS: "bootstrap-t over images", MACRO_F1: "bootstrap-t over images"}
"""How the interval of each metric is found."""


@dataclass(frozen=True)
class Figures:
    """Of one run."""

    intervals: dict[str, Interval]
    """By the name in metrics/test.json: those of METHODS."""
    calibration: Calibration


def work_out(results: Results) -> Figures:
    """Takes a second for 10,000 images."""
    loss = mean_interval(results.loss_N)
    intervals = {
        ACCURACY: share_interval(int(results.right_N.sum()), len(results.right_N)),
        LOSS: Interval(loss.estimate, max(loss.low, 0.0), loss.high),
        MACRO_F1: macro_f1_level(results.actual_N, results.predicted_N, len(results.classes)),
    }
    confidence_N = results.predictions["confidence"].to_numpy(dtype=np.float64)
    return Figures(intervals, calibration(confidence_N, results.right_N))
