"""The test metrics of one model with their 95 % intervals."""

from tools.review.results import Results
from tools.review.statistics import Interval, macro_f1_level, mean_interval, share_interval
from tools.review.verdicts import ACCURACY, LOSS, MACRO_F1


def metric_intervals(results: Results) -> dict[str, Interval]:
    """By the name in metrics/test.json: accuracy and macro-F1 (Wilson), loss (symmetric bootstrap-t over the images)."""
    loss = mean_interval(results.loss_N)
    return {
        ACCURACY: share_interval(int(results.right_N.sum()), len(results.right_N)),
        LOSS: Interval(loss.estimate, max(loss.low, 0.0), loss.high),
        MACRO_F1: macro_f1_level(results.actual_N, results.predicted_N, len(results.classes)),
    }
