"""A grid of pictures as the model saw them, with its answers."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from classifier.figures.galleries import shortened
from classifier.figures.style import isolated
from tools.predict.predictor import Answer
from tools.predict.wording import percent

PER_ROW = 8
LONGEST_TITLE = 20


def answer_grid(answered: Sequence[Answer]) -> Figure:
    """One picture at least, in their order: file, class and probability above each.

    Grey images are shown light on dark as they are, so that one sees what was inverted. Draw it within
    `classifier.figures.style.styled`.
    """
    num_columns = min(len(answered), PER_ROW)
    num_rows = math.ceil(len(answered) / num_columns)
    figure = Figure(figsize=(max(1.3 * num_columns, 2.6), 1.65 * num_rows + 0.1))
    all_axes = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axes in all_axes:
        axes.axis("off")
    for axes, answer in zip(all_axes, answered, strict=False):
        image_CHW = answer.picture.image_CHW
        if len(image_CHW) == 1:
            axes.imshow(image_CHW[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        else:
            axes.imshow(image_CHW.transpose(1, 2, 0), interpolation="nearest")
        name, probability = answer.top[0]
        axes.set_title(f"{_short(answer.picture.path.name)}\n{isolated(_short(name))} {percent(probability)}", fontsize=6.5)
    return figure


def _short(name: str) -> str:
    """A name that leaves its neighbour's room; what no font can draw as a question mark."""
    drawable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return shortened(drawable, LONGEST_TITLE)
