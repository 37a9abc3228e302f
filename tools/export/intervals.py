"""The test metrics of one model with their 95 % intervals. Legend: N images."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tools.review.results import Results
from tools.review.statistics import LEVEL, Interval, macro_f1_interval, mean_interval
from tools.review.verdicts import ACCURACY, LOSS, MACRO_F1


def share(right_N: NDArray[np.bool_]) -> Interval:
    """The share that is right, with the interval of Wilson (1927)."""
    bounds = binomtest(int(right_N.sum()), len(right_N)).proportion_ci(confidence_level=1 - LEVEL, method="wilson")
    return Interval(float(right_N.mean()), float(bounds.low), float(bounds.high))


def metric_intervals(results: Results) -> dict[str, Interval]:
    """Accuracy (Wilson), loss and macro-F1 (symmetric bootstrap-t over the images)."""
    return {
        ACCURACY: share(results.right_N),
        LOSS: mean_interval(results.loss_N),
        MACRO_F1: _macro_f1(results),
    }


def _macro_f1(results: Results) -> Interval:
    """One plus its change from a model without mistakes, whose macro-F1 is 1 in every resample."""
    change = macro_f1_interval(results.actual_N, results.actual_N, results.predicted_N, len(results.classes))
    return Interval(1 + change.estimate, max(0.0, 1 + change.low), min(1.0, 1 + change.high))
