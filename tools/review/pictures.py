"""Pictures of a review: curves overlaid, the change of the confusion matrix, the images whose answer changed."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from classifier.figures.charts import MAX_ANNOTATED_CLASSES, MAX_NAMED_CLASSES
from classifier.figures.galleries import show_image
from classifier.figures.style import BLUE, VERMILION, isolated, save_png, short_names, styled
from classifier.images.arrays import Images
from record.results import Results, load_test_images
from record.verdicts import Flips, surest_first
from tools.review.review import Review

IMAGES_PER_ROW = 6
MAX_IMAGES = 24
"""Of each direction."""
LONGEST_NAME, SHORT_NAME = 25, 12
"""Characters of a class name beside the matrix: longer ones are cut; above the second, the picture grows with the name."""
LONGEST_CAPTION = 14
"""Of a class name above an image."""
INCHES_PER_LETTER = 0.09
_WORSE_TO_BETTER = LinearSegmentedColormap.from_list("worse to better", [VERMILION, "white", BLUE])


def overlaid_curves(before: Results, after: Results) -> Figure:
    """Loss and accuracy by epoch, before (dashed) and after, training and validation (where there is one)."""
    figure = Figure(figsize=(9, 3.8))
    axes_of = dict(zip(("loss", "accuracy"), figure.subplots(1, 2), strict=True))
    for measure, unit in (("loss", "cross-entropy (nats)"), ("accuracy", "share of images classified right")):
        for results, line, when in ((before, "--", "before"), (after, "-", "after")):
            _curves(axes_of[measure], results.history, measure, line, when)
        axes_of[measure].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes_of[measure].set(title=measure.capitalize(), xlabel="epoch", ylabel=unit)
    axes_of["loss"].legend()
    return figure


def _curves(axes: Axes, history: pd.DataFrame, measure: str, line: str, when: str) -> None:
    for split, colour, label in (("train", BLUE, "training"), ("val", VERMILION, "validation")):
        if f"{split}_{measure}" in history:
            figures, alpha = history[f"{split}_{measure}"], 0.6 if when == "before" else 1
            axes.plot(history["epoch"], figures, line, marker=".", color=colour, alpha=alpha, label=f"{label}, {when}")


def confusion_change(before: Results, after: Results) -> Figure:
    """Counts after less before, by actual (row) and predicted class. Blue is better: more on the diagonal, fewer beside it."""
    change_KK = _confusion(after) - _confusion(before)
    better_KK = np.where(np.eye(len(change_KK), dtype=bool), change_KK, -change_KK)
    num_classes, most = len(change_KK), max(1, int(np.abs(change_KK).max()))
    named = range(0, num_classes, -(-num_classes // MAX_NAMED_CLASSES))
    names = short_names([after.classes[label] for label in named], LONGEST_NAME)
    size = 10 if num_classes <= MAX_ANNOTATED_CLASSES else 7
    side = min(max(4.5, 0.55 * num_classes + 2.2), 14.0)
    room = INCHES_PER_LETTER * max(0, max(map(len, names)) - SHORT_NAME)
    figure = Figure(figsize=(side + room + 0.4, side + room))
    axes = figure.subplots()
    axes.imshow(better_KK, cmap=_WORSE_TO_BETTER, vmin=-most, vmax=most)
    axes.grid(visible=False)
    axes.set_xticks(named, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(named, names, fontsize=size)
    axes.set(title="Change in test images: blue is better", xlabel="predicted", ylabel="actual")
    if num_classes <= MAX_ANNOTATED_CLASSES:
        for (row, column), change in np.ndenumerate(change_KK):
            if change:
                colour = "white" if abs(change) > 0.7 * most else "black"
                axes.text(column, row, f"{change:+d}".replace("-", "−"), ha="center", va="center", fontsize=8, color=colour)
    return figure


def _confusion(results: Results) -> NDArray[np.int64]:
    num_classes = len(results.classes)
    cell_N = results.actual_N * num_classes + results.predicted_N
    return np.bincount(cell_N, minlength=num_classes**2).reshape(num_classes, num_classes)


def flip_gallery(images_NCHW: Images, flips: Flips, before: Results, after: Results) -> Figure:
    """The images of each direction of which the wrong side was surest: actual class, and what each side predicted."""
    parts = [
        ("right → wrong", surest_first(flips.lost, after), VERMILION),
        ("wrong → right", surest_first(flips.gained, before), BLUE),
    ]
    num_rows = [max(1, math.ceil(min(len(rows), MAX_IMAGES) / IMAGES_PER_ROW)) for _, rows, _ in parts]
    drawn = [row for _, rows, _ in parts for row in rows[:MAX_IMAGES]]
    labels = sorted({int(of_N[row]) for of_N in (before.actual_N, before.predicted_N, after.predicted_N) for row in drawn})
    names = map(isolated, short_names([before.classes[label] for label in labels], LONGEST_CAPTION))
    short = dict(zip(labels, names, strict=True))
    figure = Figure(figsize=(9, 1.9 * sum(num_rows) + 0.9))
    halves = figure.subfigures(2, 1, height_ratios=num_rows, squeeze=False).ravel()
    for half, height, (words, rows, colour) in zip(halves, num_rows, parts, strict=True):
        shown = rows[:MAX_IMAGES]
        half.suptitle(
            f"{words}: {len(shown)} of {len(rows)}, most confident first (actual: before → after)", fontsize=11, color=colour
        )
        all_axes = half.subplots(height, IMAGES_PER_ROW, squeeze=False).ravel()
        for axes in all_axes:
            axes.axis("off")
        for axes, row in zip(all_axes, shown, strict=False):
            show_image(axes, images_NCHW[row])
            actual, was, now = (short[of_N[row]] for of_N in (before.actual_N, before.predicted_N, after.predicted_N))
            axes.set_title(f"{row}: {actual}\n{was} →\n{now}", fontsize=8)
    return figure


CURVES, CONFUSION, FLIPS = "curves.png", "confusion.png", "flips.png"
CAPTIONS = {
    CURVES: "Learning curves, before (dashed) and after",
    CONFUSION: "How the confusion matrix changed: test images, after minus before",
    FLIPS: "Changed images",
}


def draw(review: Review, folder: Path) -> tuple[list[str], str | None]:
    """Write what can be drawn; return the names of the files, and what is missing in them and why, if something is."""
    with styled([*review.before.classes, *review.after.classes]) as remark:
        save_png(overlaid_curves(review.before, review.after), folder / CURVES)
        if review.flips is None:
            return [CURVES], None
        save_png(confusion_change(review.before, review.after), folder / CONFUSION)
        images_NCHW, no_images = load_test_images(review.after)
        missing = "; ".join(line for line in (no_images, remark) if line) or None
        if images_NCHW is None:
            return [CURVES, CONFUSION], missing
        save_png(flip_gallery(images_NCHW, review.flips, review.before, review.after), folder / FLIPS)
    return [CURVES, CONFUSION, FLIPS], missing
