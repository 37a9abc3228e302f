"""Blocks: how images pass from file to file, so that memory does not grow with their number."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
"""images_NCHW, or pixels_NP with the P = C·H·W pixels of an image in a row; 0 to 255."""
Labels = NDArray[np.int64]
"""labels_N; label k is the class k."""
Block = tuple[Images, Labels]
"""The images and the labels of some consecutive rows."""

BLOCK_BYTES = 2**20


def row_slices(num_rows: int, bytes_per_row: int) -> Iterator[slice]:
    """Cut `num_rows` rows into slices of at most BLOCK_BYTES, though never less than one row."""
    step = max(1, BLOCK_BYTES // bytes_per_row)
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))
