"""Answers on the screen: as lines, as JSON, as pictures in characters, and as a grid."""

import csv
import math
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from classifier.common.errors import short_repr
from classifier.figures.style import isolated, shortened
from classifier.images.arrays import Images
from classifier.images.unreadable import Unreadable
from classifier.model.description import ModelDescription
from tools.predict.predictor import Answer, Predictor, Settings


def percent(probability: float) -> str:
    """`97.3 %`. What is not certain is not called 100 %."""
    rounded = f"{probability:.1%}"
    return "> 99.9 %" if rounded == "100.0%" and probability < 1 else rounded.replace("%", " %")


def model_line(description: ModelDescription, settings: Settings) -> str:
    """Which model answers, and how."""
    channels, height, width = description.shape_CHW
    colour = "grey" if channels == 1 else "colour"
    hflip_invariant = "; each picture and its mirror image together (flip_tta)" if settings.mirrors(description) else ""
    return f"{description.network}, trained on {description.dataset}: {height}×{width} pixels in {colour}{hflip_invariant}"


def answer_lines(answer: Answer) -> str:
    """The picture with its likeliest classes, and below what was done to it."""
    top = ", ".join(f"{name} {percent(probability)}" for name, probability in answer.top)
    return f"{answer.picture.name}: {top}\n    {'; '.join(answer.picture.steps) or 'taken as it is'}"


def unreadable_line(one: Unreadable) -> str:
    """Which picture, and why."""
    return f"unreadable: {one.path if one.path.isprintable() else short_repr(one.path)}: {one.reason}"


def model_entry(description: ModelDescription, settings: Settings) -> dict[str, Any]:
    """The model, for other programs."""
    return {
        "network": description.network,
        "dataset": description.dataset,
        "classes": description.classes,
        "shape_CHW": list(description.shape_CHW),
        "resize": settings.resize,
        "flip_tta": settings.mirrors(description),
    }


def answer_entry(answer: Answer) -> dict[str, Any]:
    """An answer, for other programs; probabilities from 0 to 1."""
    name, probability = answer.top[0]
    return {
        "path": str(answer.picture.path),
        **({} if answer.picture.row is None else {"row": answer.picture.row}),
        "class": name,
        "probability": probability,
        "top": [{"class": name, "probability": probability} for name, probability in answer.top],
        "inverted": answer.picture.inverted,
        "steps": answer.picture.steps,
    }


RAMP = " .:-=+*#%@"
MAX_PIXELS = 40
"""In height and width; a pixel is two characters wide, since those are about twice as high as wide."""


def as_text(image_CHW: Images) -> str:
    """A line for each row of pixels; colours by their luma, larger pictures shrunk to 40×40."""
    image = Image.fromarray(image_CHW[0] if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0)).convert("L")
    image.thumbnail((MAX_PIXELS, MAX_PIXELS), Image.Resampling.BOX)
    levels_HW = np.asarray(image).astype(int) * len(RAMP) // 256
    return "\n".join("".join(RAMP[level] * 2 for level in row).rstrip() for row in levels_HW)


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
        row = answer.picture.row
        title = answer.picture.path.name if row is None else f"row {row}"
        axes.set_title(f"{_short(title)}\n{isolated(_short(name))} {percent(probability)}", fontsize=6.5)
    return figure


def _short(name: str) -> str:
    """A name that leaves its neighbour's room; what no font can draw as a question mark."""
    drawable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return shortened(drawable, LONGEST_TITLE)


MAX_KEPT = 80
"""Pictures in a grid; further ones are not held in memory."""


class Report:
    """Prints to stdout a line for the model and two for each picture, unless `as_json`; to stderr what is unreadable.

    With `csv_file` the answers are lines there, in place of those on the screen.
    """

    def __init__(
        self, predictor: Predictor, *, as_json: bool, show: bool, keeps_pictures: bool, csv_file: TextIO | None = None
    ) -> None:
        self.kept: list[Answer] = []
        self.unreadable: list[Unreadable] = []
        self.num_answered = 0
        self._entries: list[dict[str, Any]] = []
        self._model = model_entry(predictor.description, predictor.settings)
        self._as_json, self._show, self._keeps_pictures = as_json, show, keeps_pictures
        self._csv = csv.writer(csv_file, lineterminator="\n") if csv_file else None
        if self._csv:
            self._csv.writerow(["path", "row", "class", "confidence"])
        if not as_json:
            print(model_line(predictor.description, predictor.settings), flush=True)

    def take(self, result: Answer | Unreadable) -> None:
        """Tell of the next picture."""
        if isinstance(result, Unreadable):
            self.unreadable.append(result)
            print(unreadable_line(result), file=sys.stderr, flush=True)
            if self._csv:
                self._csv.writerow([result.path, "", "", ""])
            return
        self.num_answered += 1
        if self._keeps_pictures and len(self.kept) < MAX_KEPT:
            self.kept.append(result)
        if self._csv:
            picture, (name, probability) = result.picture, result.top[0]
            self._csv.writerow([picture.path, "" if picture.row is None else picture.row, name, f"{probability:.6f}"])
        if self._as_json:
            self._entries.append(answer_entry(result))
        if self._as_json or self._csv:
            return
        print(answer_lines(result), flush=True)
        if self._show:
            print(as_text(result.picture.image_CHW), flush=True)

    def document(self) -> dict[str, Any]:
        """All of it, for other programs."""
        unreadable = [{"path": one.path, "reason": one.reason} for one in self.unreadable]
        return {"model": self._model, "pictures": self._entries, "unreadable": unreadable}
