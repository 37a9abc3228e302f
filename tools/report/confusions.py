"""Which images stand in each cell of the confusion matrix, and which of them the page has room for. Legend: N images."""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from tools.review.flips import surest_first
from tools.review.results import Results

MOST_PER_CELL = 48
MOST_MISTAKES = 40
MOST_CLASSES = 40
"""Of a matrix that can be read. With more classes the page lists the commonest confusions instead."""
MOST_CONFUSIONS = 200


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


def find_cells(results: Results) -> list[Cell]:
    """All of the matrix by row; of more than MOST_CLASSES classes, the commonest confusions."""
    num_classes = len(results.classes)
    support_K = np.bincount(results.actual_N, minlength=num_classes)
    code_N = results.actual_N * num_classes + results.predicted_N
    codes, counts = np.unique(code_N, return_counts=True)
    if num_classes > MOST_CLASSES:
        wrong = codes // num_classes != codes % num_classes
        codes = codes[wrong][np.argsort(-counts[wrong], kind="stable")][:MOST_CONFUSIONS]
    cells = []
    for code in codes.tolist():
        actual, predicted = divmod(code, num_classes)
        rows_N = surest_first(np.flatnonzero(code_N == code), results)
        rows_N = rows_N[::-1] if actual == predicted else rows_N
        cells.append(Cell(actual, predicted, len(rows_N) / int(support_K[actual]), rows_N))
    return cells


def surest_mistakes(results: Results) -> NDArray[np.intp]:
    """Positions of the mistakes that the model was surest of."""
    return surest_first(np.flatnonzero(~results.right_N), results)[:MOST_MISTAKES]


def fair_order(cells: list[Cell]) -> list[int]:
    """Rows in the order in which they get room: the first of each cell, then the second of each, mistakes before right ones."""
    ordered = sorted(cells, key=lambda cell: cell.is_right)
    ranks = zip_longest(*(cell.rows_N[:MOST_PER_CELL].tolist() for cell in ordered))
    return [row for rank in ranks for row in rank if row is not None]
