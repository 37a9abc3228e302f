"""Light things on a dark ground, or dark things on a light one: whether a picture is the other way round than the model knows.

Only of grey images: a colour is no ground, and its negative is another colour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from classifier.common.errors import UserError
from classifier.common.files import read_json
from classifier.conversion.resize import fitted
from classifier.schema import DatasetInfo, Standardised

Invert = Literal["auto", "yes", "no"]
MOSTLY_DARK, MOSTLY_LIGHT = 1 / 3, 2 / 3
"""Means of training images below and above which their ground is taken for black and for white.

MNIST has 0.13, Fashion-MNIST 0.29, the digits 0.30; photographs lie between.
"""
MIDDLE = 0.5
"""Mean of a border above which it is light. None of the 141,797 images of these three sets has a border above it."""


@dataclass(frozen=True)
class Ground:
    """What the training images lie on, `where` being the file that tells it; `mean` is None where none does."""

    mean: float | None
    where: str


def training_ground(root: Path, described: Standardised) -> Ground:
    """The mean pixel, 0 to 1, of the grey images that the model of `described` was trained on.

    By data/dataset/dataset.json, where that is of the same images; by models/model.json otherwise, unless the mean there was
    not measured but chosen: measured ones are above 0 with the images' standard deviation.
    """
    path = root / "data/dataset/dataset.json"
    if path.is_file():
        try:
            info = read_json(path, DatasetInfo)
        except UserError:
            info = None
        if info and (info.dataset, info.classes, info.shape_CHW) == (described.dataset, described.classes, described.shape_CHW):
            return Ground(info.mean[0], "data/dataset/dataset.json")
    mean, std = described.mean[0], described.std[0]
    was_measured = 0 < mean < 1 and std**2 <= mean * (1 - mean)  # of values from 0 to 1 (Bhatia & Davis 2000)
    return Ground(mean if was_measured else None, "models/model.json")


def wants_inverting(image: Image.Image, size: int, ground: Ground) -> tuple[bool, str]:
    """Whether the grey `image` lies on the other ground than the training images, and why, in words.

    Its border are the outermost pixels of the whole picture at the model's size: what a crop keeps may be the thing alone.
    """
    if ground.mean is None:
        return False, f"not inverted, as {ground.where} does not tell the mean of the training images"
    if MOSTLY_DARK <= ground.mean <= MOSTLY_LIGHT:
        return False, f"not inverted, as the training images are neither dark nor light (mean {ground.mean:.2f})"
    border = _border_mean(np.asarray(fitted(image, size, "stretch")))
    found, known = _word(border), _word(ground.mean)
    reason = f"{found} border, {border:.2f}; {known} training images, {ground.mean:.2f}"
    return found != known, f"{'inverted' if found != known else 'not inverted'} ({reason})"


def _border_mean(pixels_HW: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    """Mean of the outermost pixels, 0 to 1."""
    is_border_HW = np.ones(pixels_HW.shape, dtype=bool)
    is_border_HW[1:-1, 1:-1] = False
    return float(pixels_HW[is_border_HW].mean()) / 255


def _word(mean: float) -> str:
    return "light" if mean > MIDDLE else "dark"
