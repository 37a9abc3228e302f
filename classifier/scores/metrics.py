"""Figures of a model on a test split. Legend: N images, K classes.

They are counts and ratios, by NumPy: to import scikit-learn and SciPy, with which the tests compare, would take a second.
"""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier.model.inference import Predictions

Z_95 = NormalDist().inv_cdf(0.975)


def summary_metrics(predictions: Predictions) -> dict[str, float]:
    """Accuracy with its 95 % Wilson interval (Wilson 1927), loss (nats), macro-F1, and what no skill gives, to six decimals.

    The macro mean is over the classes that occur, as actual or predicted class. A ratio 0/0 counts as 0. The balanced accuracy
    is the mean recall of the classes that have images; the baseline is the share of the largest class, which always guessing
    that class gives.
    """
    correct = predictions.predicted_N == predictions.actual_N
    low, high = _wilson_interval(int(correct.sum()), len(correct))
    right_K, predicted_K, images_K = _counts(predictions, num_classes=0)
    occurs_K = images_K > 0
    figures = {
        "test_accuracy": predictions.accuracy,
        "test_loss": predictions.loss,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "test_macro_f1": _ratio(2 * right_K, images_K + predicted_K)[images_K + predicted_K > 0].mean(),
        "test_balanced_accuracy": (right_K[occurs_K] / images_K[occurs_K]).mean(),
        "test_baseline_accuracy": images_K.max() / len(correct),
    }
    return {name: round(float(figure), 6) for name, figure in figures.items()}


def predictions_table(predictions: Predictions, classes: list[str]) -> pd.DataFrame:
    """One row an image, in test order: actual and predicted class by name, confidence (0 to 1), loss (nats)."""
    return pd.DataFrame(
        {
            "actual": [classes[label] for label in predictions.actual_N],
            "predicted": [classes[label] for label in predictions.predicted_N],
            "confidence": predictions.confidence_N.round(5),
            "loss": _rounded(predictions.loss_N),
        }
    )


def _rounded(loss_N: NDArray[np.float32]) -> NDArray[np.float32]:
    """To five decimals. From 2²⁴ on float32 has none, and multiplying them, as rounding does, may overflow."""
    return np.where(loss_N < 2**24, loss_N.clip(max=2**24).round(5), loss_N)


def classes_table(predictions: Predictions, classes: list[str]) -> pd.DataFrame:
    """One row a class, in label order: precision, recall, F1 (0 to 1; 0/0 counts as 0) and support (images)."""
    right_K, predicted_K, images_K = _counts(predictions, len(classes))
    return pd.DataFrame(
        {
            "class": classes,
            "precision": _ratio(right_K, predicted_K),
            "recall": _ratio(right_K, images_K),
            "f1": _ratio(2 * right_K, images_K + predicted_K),
            "support": images_K,
        }
    )


def _counts(predictions: Predictions, num_classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each class the images classified right, those classified as it, and those that are of it.

    Of at least `num_classes`, and of all that occur.
    """
    actual_N, predicted_N = predictions.actual_N, predictions.predicted_N
    num = max(num_classes, int(max(actual_N.max(), predicted_N.max())) + 1)
    right_N = actual_N[actual_N == predicted_N]
    return (np.bincount(right_N, minlength=num), np.bincount(predicted_N, minlength=num), np.bincount(actual_N, minlength=num))


def _ratio(part_K: NDArray[np.int64], whole_K: NDArray[np.int64]) -> NDArray[np.float64]:
    """0 for 0/0."""
    return np.divide(part_K, np.maximum(whole_K, 1), dtype=np.float64)


def _wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The two shares from which the observed one is 1.96 standard errors away."""
    share, z2 = right / total, Z_95**2
    half = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    centre, scale = share + z2 / (2 * total), 1 + z2 / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
