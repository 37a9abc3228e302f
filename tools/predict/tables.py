"""Rows of a table of pixels (.csv, .csv.gz, .npz) as images that the model sees, brought there as `convert` brought its own."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classifier.common.errors import UserError
from classifier.decoding.resize import coloured, resized
from classifier.images.schema import Described
from classifier.images.table import image_shape
from classifier.sources.rows import WHITE, PixelRange, planar, scaled, seem_interleaved
from classifier.sources.tables import Table, open_table_of_images
from tools.predict.paths import displayed_path
from tools.predict.pictures import FIT_WORDS, Preparation, PreparedPicture


@dataclass(frozen=True)
class TableOfImages:
    """A table that was read once: how many rows it has, and what its pixels mean."""

    table: Table
    num_rows: int
    shape_CHW: tuple[int, int, int]
    white: int
    interleaved: bool
    notes: list[str]


def read_tables(paths: Sequence[Path], described: Described, asked_shape: list[int] | None) -> list[TableOfImages]:
    """What each table holds. Raises UserError for one whose rows the model of `described` cannot be asked about."""
    return [_read(path, described, asked_shape) for path in paths]


def _read(path: Path, described: Described, asked_shape: list[int] | None) -> TableOfImages:
    table = open_table_of_images(path)
    found, num_rows, num_pixels, interleaved = PixelRange(), 0, 0, False
    for block in table.blocks():
        if not num_rows:
            num_pixels = block.pixels_NP.shape[1]
            interleaved = table.may_be_interleaved and seem_interleaved(block.pixels_NP)
        if block.pixels_NP.shape[1] != num_pixels:
            raise UserError(
                f"{displayed_path(path)}: needs {num_pixels} pixels an image, as in its first row, found "
                f"{block.pixels_NP.shape[1]} in row {num_rows + 1}"
            )
        found.take(block.pixels_NP)
        num_rows += len(block.pixels_NP)
    if not num_rows:
        raise UserError(f"{displayed_path(path)}: needs a row at least, found none")
    white = _white(displayed_path(path), found, described.pixel_max or WHITE)
    shape_CHW = image_shape(path, num_pixels, asked_shape if math.prod(asked_shape or [0]) == num_pixels else None)
    notes = [*table.notes]
    if white != WHITE:
        notes.append(f"pixels from 0 to {white} are scaled to 0 to {WHITE}, as those that the model was trained on")
    if interleaved:
        notes.append("red, green and blue follow each other pixel by pixel, as every third number is the nearest")
    return TableOfImages(table, num_rows, shape_CHW, white, interleaved, [f"{displayed_path(path)}: {note}" for note in notes])


def _white(where: str, found: PixelRange, of_model: int) -> int:
    """The value of white: that of the tables the model was trained on; or 1 or 255, where the pixels fit that alone."""
    if found.least >= 0 and not found.whole and found.largest <= 1:
        return 1
    if found.least >= 0 and found.largest <= of_model:
        return of_model
    if found.least >= 0 and of_model < found.largest <= WHITE:
        return WHITE
    needed = f"0 to {of_model}" + ("" if of_model >= WHITE else f", as the model was trained on, or 0 to {WHITE}")
    raise UserError(f"{where}: needs pixels from {needed}, found {found}")


def prepared_rows(tables: Sequence[TableOfImages], preparation: Preparation) -> Iterator[PreparedPicture]:
    """Each row of each table at the model's size and colours; rows count from 1."""
    for one in tables:
        number = 0
        channels, height, width = one.shape_CHW
        for block in one.table.blocks():
            pixels_NP = scaled(planar(block.pixels_NP) if one.interleaved else block.pixels_NP, one.white)
            images_NCHW = pixels_NP.reshape(-1, *one.shape_CHW)
            if preparation.invert == "yes":
                images_NCHW = WHITE - images_NCHW
            blocks = [(images_NCHW, np.zeros(len(images_NCHW), dtype=np.int64))]
            model_channels = 1 if preparation.grey else 3
            steps = ["inverted (--invert yes)"] if preparation.invert == "yes" else []
            if channels != model_channels:
                steps.append("colours to grey" if preparation.grey else "grey in three channels")
            if (height, width) != (preparation.size, preparation.size):
                fit = f", {FIT_WORDS[preparation.fit]}" if width != height else ""
                steps.append(f"{width}×{height} pixels to {preparation.size}×{preparation.size}{fit}")
            for images, _ in resized(coloured(blocks, model_channels), preparation.size, preparation.fit):
                for image_CHW in images:
                    number += 1
                    yield PreparedPicture(one.table.path, image_CHW, preparation.invert == "yes", steps, row=number)
