"""Which images stand in each cell of the confusion matrix, which of them the page has room for, and their small pictures."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from classifier.images.arrays import Images
from record.results import Results
from record.verdicts import surest_first

MAX_PER_CELL = 48
MAX_MISTAKES = 40
MAX_CLASSES = 40
"""Of a matrix that can be read. With more classes the page lists the commonest confusions instead."""
MAX_CONFUSIONS = 200
SHADES = (0.01, 0.05, 0.2, 0.6)
"""Shares of the actual class at which the colour of a cell deepens."""
SHADE_WORDS = ("under 1 %", "1 to 5 %", "5 to 20 %", "20 to 60 %", "60 % and more")


@dataclass(frozen=True)
class Cell:
    """The test images of one actual and one predicted class: one at least."""

    actual: int
    predicted: int
    share: float
    """Of the images of the actual class."""
    rows_N: NDArray[np.intp]
    """Positions in the test split: mistakes surest first, right answers least sure first."""

    @property
    def is_right(self) -> bool:
        return self.actual == self.predicted

    @property
    def name(self) -> str:
        """For the page's own links."""
        return f"cell-{self.actual}-{self.predicted}"

    @property
    def shade(self) -> str:
        """The class of its colour in the style sheet."""
        return f"{'right' if self.is_right else 'wrong'}{int(np.searchsorted(SHADES, self.share, side='right'))}"


def find_cells(results: Results) -> list[Cell]:
    """All of the matrix by row; of more than MAX_CLASSES classes, the commonest confusions."""
    num_classes = len(results.classes)
    support_K = np.bincount(results.actual_N, minlength=num_classes)
    code_N = results.actual_N * num_classes + results.predicted_N
    codes, counts = np.unique(code_N, return_counts=True)
    if num_classes > MAX_CLASSES:
        wrong = codes // num_classes != codes % num_classes
        codes = codes[wrong][np.argsort(-counts[wrong], kind="stable")][:MAX_CONFUSIONS]
    cells = []
    for code in codes.tolist():
        actual, predicted = divmod(code, num_classes)
        rows_N = surest_first(np.flatnonzero(code_N == code), results)
        rows_N = rows_N[::-1] if actual == predicted else rows_N
        cells.append(Cell(actual, predicted, len(rows_N) / int(support_K[actual]), rows_N))
    return cells


def surest_mistakes(results: Results) -> NDArray[np.intp]:
    """Positions of the mistakes that the model was surest of."""
    return surest_first(np.flatnonzero(~results.right_N), results)[:MAX_MISTAKES]


def fair_order(cells: list[Cell]) -> list[int]:
    """Rows in the order in which they get room: the first of each cell, then the second of each, mistakes before right ones."""
    ordered = sorted(cells, key=lambda cell: cell.is_right)
    ranks = zip_longest(*(cell.rows_N[:MAX_PER_CELL].tolist() for cell in ordered))
    return [row for rank in ranks for row in rank if row is not None]


MAX_IMAGES = 5000
MAX_BYTES = 6 * 2**20
"""Of all encoded pictures together; in the page they take a third more."""
LONGEST_SIDE = 64
"""In pixels; larger images are reduced to it, and kept as JPEG."""
_QUALITY = 85


def thumbnails(images_NCHW: Images, rows: Iterable[int]) -> dict[int, bytes]:
    """PNG or JPEG by row: of as many of `rows`, from the first, as the budget has room for."""
    pictures: dict[int, bytes] = {}
    num_bytes = 0
    for row in rows:
        if row not in pictures:
            encoded = thumbnail(images_NCHW[row])
            num_bytes += len(encoded)
            if num_bytes > MAX_BYTES or len(pictures) == MAX_IMAGES:
                break
            pictures[row] = encoded
    return pictures


def thumbnail(image_CHW: NDArray[np.uint8]) -> bytes:
    """Three channels are red, green and blue; of others the first is shown, as it is."""
    if len(image_CHW) == 3:
        picture = Image.fromarray(np.ascontiguousarray(image_CHW.transpose(1, 2, 0)))
    else:
        picture = Image.fromarray(np.ascontiguousarray(image_CHW[0]))
    buffer = io.BytesIO()
    if max(picture.size) > LONGEST_SIDE:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        picture.save(buffer, "JPEG", quality=_QUALITY)
    else:
        picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_address(picture: bytes) -> str:
    """The picture as an address that needs no file."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
