"""Figures drawn from the tables of plots/. Legend: K classes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from classifier.figures.style import BLUE, GREEN, GREY, VERMILION, short_names

MAX_ANNOTATED_CLASSES = 20
"""A confusion matrix of more classes has no room for numbers in its cells."""
MAX_NAMED_CLASSES = 50
"""On each side of a confusion matrix: of more classes, one in so many is named that they have room."""
MAX_BARS = 60
"""Classes in the bars: of more, those of the lowest F1."""
LONGEST_NAME = 24


def learning_curves(history: pd.DataFrame, kept_epoch: int) -> Figure:
    """Loss and accuracy by epoch, training and validation (where there is one), with the kept epoch marked."""
    figure = Figure(figsize=(9, 3.6))
    left, right = figure.subplots(1, 2)
    _curves(left, history, kept_epoch, "loss", "cross-entropy (nats)")
    _curves(right, history, kept_epoch, "accuracy", "share of images classified right")
    return figure


def _curves(axes: Axes, history: pd.DataFrame, kept_epoch: int, measure: str, unit: str) -> None:
    for split, colour, label in (("train", BLUE, "training"), ("val", VERMILION, "validation")):
        if f"{split}_{measure}" in history:
            axes.plot(history["epoch"], history[f"{split}_{measure}"], color=colour, marker="o", markersize=3, label=label)
    axes.axvline(kept_epoch, color=GREY, linestyle=":", label=f"kept: epoch {kept_epoch}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(title=measure.capitalize(), xlabel="epoch", ylabel=unit)
    axes.legend()


def confusion_matrix(predictions: pd.DataFrame, classes: list[str]) -> Figure:
    """Counts by actual (row) and predicted (column) class; the colour, and the small figure, is the share of the row."""
    counts_KK = _counts(predictions, classes)
    shares_KK = counts_KK / np.maximum(counts_KK.sum(axis=1, keepdims=True), 1)
    num_classes = len(classes)
    side = min(max(4.5, 0.62 * num_classes + 2.2), 14.0)
    figure = Figure(figsize=(side + 0.8, side))
    axes = figure.subplots()
    image = axes.imshow(shares_KK, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    named = range(0, num_classes, -(-num_classes // MAX_NAMED_CLASSES))
    names = short_names([classes[label] for label in named], LONGEST_NAME)
    size = 10 if num_classes <= MAX_ANNOTATED_CLASSES else 7
    axes.set_xticks(named, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(named, names, fontsize=size)
    axes.set(title="Confusion matrix of the test split", xlabel="predicted", ylabel="actual")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the actual class")
    if num_classes <= MAX_ANNOTATED_CLASSES:
        _annotate(axes, counts_KK, shares_KK)
    return figure


def _counts(predictions: pd.DataFrame, classes: list[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    actual = pd.Categorical(predictions["actual"], categories=classes)
    predicted = pd.Categorical(predictions["predicted"], categories=classes)
    return pd.crosstab(actual, predicted, dropna=False).reindex(index=classes, columns=classes, fill_value=0).to_numpy()


def _annotate(axes: Axes, counts_KK: np.ndarray, shares_KK: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(counts_KK):
        if count:
            share = shares_KK[row, column]
            colour = "white" if share > 0.5 else "black"
            text = f"{count}\n{share:.1%}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour, linespacing=1.1)


def class_bars(classes: pd.DataFrame) -> Figure:
    """Precision, recall and F1 of each class as grouped bars, in label order from the top; of many, the 60 of the lowest F1."""
    title = "Test split by class (images in brackets)"
    if len(classes) > MAX_BARS:
        title = f"The {MAX_BARS} of {len(classes)} classes with the lowest F1 on the test split (images in brackets)"
        classes = classes.loc[classes["f1"].nsmallest(MAX_BARS, keep="first").index.sort_values()]
    figure = Figure(figsize=(8, min(max(2.5, 0.48 * len(classes) + 1.3), 40)))
    axes = figure.subplots()
    positions = np.arange(len(classes))
    for offset, measure, colour in ((-0.26, "precision", BLUE), (0, "recall", VERMILION), (0.26, "f1", GREEN)):
        label = "F1" if measure == "f1" else measure
        axes.barh(positions + offset, classes[measure], height=0.24, color=colour, label=label)
    names = short_names(list(classes["class"]), LONGEST_NAME)
    axes.set_yticks(positions, [f"{name} ({support})" for name, support in zip(names, classes["support"], strict=True)])
    axes.set_ylim(len(classes) - 0.5, -0.5)  # the first at the top, and no room beside many bars
    axes.grid(visible=False, axis="y")
    axes.set(title=title, xlabel="share", xlim=(0, 1))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
