"""Figures of a model on a test split, by scikit-learn and SciPy. Legend: N images, K classes."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from classifier.model.inference import Predictions


def summary_metrics(predictions: Predictions) -> dict[str, float]:
    """Accuracy with its 95 % Wilson interval (Wilson 1927), loss (nats), macro-F1, and what no skill gives, to six decimals.

    The macro mean is over the classes that occur, as actual or predicted class. A ratio 0/0 counts as 0. The balanced accuracy
    is the mean recall of the classes that have images; the baseline is the share of the largest class, which always guessing
    that class gives.
    """
    correct = predictions.predicted_N == predictions.actual_N
    interval = binomtest(int(correct.sum()), len(correct)).proportion_ci(confidence_level=0.95, method="wilson")
    macro_f1 = f1_score(predictions.actual_N, predictions.predicted_N, average="macro", zero_division=0)
    images_K = np.bincount(predictions.actual_N)
    right_K = np.bincount(predictions.actual_N[correct], minlength=len(images_K))
    occurs_K = images_K > 0
    figures = {
        "test_accuracy": predictions.accuracy,
        "test_loss": predictions.loss,
        "test_accuracy_low": interval.low,
        "test_accuracy_high": interval.high,
        "test_macro_f1": macro_f1,
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
    precision, recall, f1, support = precision_recall_fscore_support(
        predictions.actual_N, predictions.predicted_N, labels=range(len(classes)), zero_division=0
    )
    return pd.DataFrame({"class": classes, "precision": precision, "recall": recall, "f1": f1, "support": support})
