"""Pictures of the data: a grid of samples, and the mistakes the model was surest of.

Legend: N images, C channels (1 or 3), H height, W width; R rows and M columns of a grid.
"""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from classifier.figures.style import VERMILION, isolated, short_names

SAMPLES_PER_CLASS = 10
MAX_CLASSES = 20
LONGEST_ROW_NAME, LONGEST_CAPTION = 24, 12
MISTAKES_PER_ROW = 8
WHITE = 255
MAX_MISTAKES = 40
HIGHEST_INCHES = 40
"""Of a figure; images can be a thousand times as high as wide."""


def sample_grid(images_NCHW: NDArray[np.uint8], actual: "pd.Series[str]", classes: list[str]) -> Figure:
    """The first ten images of each class, one class a row (of the first twenty classes, where there are more)."""
    shown = classes[:MAX_CLASSES]
    _, channels, height, width = images_NCHW.shape
    grid_RMCHW = np.full((len(shown), SAMPLES_PER_CLASS, channels, height, width), WHITE, np.uint8)
    for row, name in enumerate(shown):
        indices = np.flatnonzero(actual == name)[:SAMPLES_PER_CLASS]
        grid_RMCHW[row, : len(indices)] = images_NCHW[indices]
    mosaic_CHW = grid_RMCHW.transpose(2, 0, 3, 1, 4).reshape(channels, len(shown) * height, SAMPLES_PER_CLASS * width)
    figure = Figure(figsize=(8, min(0.66 * len(shown) * height / width + 0.6, HIGHEST_INCHES)))
    axes = figure.subplots()
    show_image(axes, mosaic_CHW)
    axes.set_yticks([(row + 0.5) * height - 0.5 for row in range(len(shown))], short_names(shown, LONGEST_ROW_NAME))
    axes.set_title(
        "Samples of the test split" + (f": {len(shown)} of {len(classes)} classes" if len(classes) > len(shown) else "")
    )
    return figure


def mistake_gallery(images_NCHW: NDArray[np.uint8], predictions: pd.DataFrame) -> Figure:
    """The forty mistakes of highest confidence, surest first: actual class, predicted class, confidence."""
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    surest = wrong.sort_values("confidence", ascending=False, kind="stable")[:MAX_MISTAKES]
    num_rows = max(1, math.ceil(len(surest) / MISTAKES_PER_ROW))
    figure = Figure(figsize=(9, 1.5 * num_rows + 0.5))
    figure.suptitle(
        f"Most confident mistakes of the test split: {len(surest)} of {len(wrong)} (actual → predicted)", fontsize=11
    )
    all_axes = figure.subplots(num_rows, MISTAKES_PER_ROW, squeeze=False).ravel()
    for axes in all_axes:
        axes.axis("off")
    names = sorted({*surest["actual"], *surest["predicted"]})
    short = dict(zip(names, short_names(names, LONGEST_CAPTION), strict=True))
    for axes, row in zip(all_axes, surest.itertuples(), strict=False):
        show_image(axes, images_NCHW[int(row[0])])
        axes.set_title(
            f"{short[row.actual]}\n→ {isolated(short[row.predicted])}\n{row.confidence:.1%}",
            fontsize=6.5,
            color=VERMILION,
        )
    return figure


def show_image(axes: Axes, image_CHW: NDArray[np.uint8]) -> None:
    """Draw one image without ticks, as it is: of a grey one 0 is black."""
    if image_CHW.shape[0] == 3:
        axes.imshow(image_CHW.transpose(1, 2, 0), interpolation="nearest")
    else:
        axes.imshow(image_CHW[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
