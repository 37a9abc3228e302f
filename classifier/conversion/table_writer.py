"""Writes CSV tables of images, the same bytes as `pandas.DataFrame.to_csv(index=False)` and many times faster.

A pixel has only 256 values, so its text is looked up instead of formatted: `,7` is the four bytes `,7\\0\\0`. The texts of a
block are gathered into a matrix of such cells, and one pass over its bytes drops the zeros.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from classifier.blocks import Block, Images, Labels, row_slices
from classifier.table.layout import header

# The byte order is part of the text, so it is fixed: it must not follow the machine's.
CELL = np.dtype("<u4")
PIXEL_CELLS = np.frombuffer(b"".join(f",{value}".encode().ljust(CELL.itemsize, b"\0") for value in range(256)), dtype=CELL)
# 20 bytes hold every 64-bit number.
LABEL_CELLS = 5


def write_table(path: Path, num_pixels: int, blocks: Iterable[Block]) -> int:
    """Write blocks of images, of any shape with `num_pixels` each, and labels, 0 or more; return the number of rows."""
    num_rows = 0
    with path.open("wb") as file:
        file.write(header(num_pixels) + b"\n")
        for images, labels_N in blocks:
            pixels_NP = images.reshape(len(labels_N), num_pixels)
            for rows in row_slices(len(labels_N), num_pixels * CELL.itemsize):
                file.write(_lines(pixels_NP[rows], labels_N[rows]))
            num_rows += len(labels_N)
    return num_rows


def _lines(pixels_NP: Images, labels_N: Labels) -> bytearray:
    num_rows, num_pixels = pixels_NP.shape
    num_cells = LABEL_CELLS + num_pixels + 1
    text = bytearray(num_rows * num_cells * CELL.itemsize)
    cells = np.frombuffer(text, dtype=CELL).reshape(num_rows, num_cells)
    label_texts = labels_N.astype(f"S{LABEL_CELLS * CELL.itemsize}")
    cells[:, :LABEL_CELLS] = label_texts.view(CELL).reshape(num_rows, LABEL_CELLS)
    np.take(PIXEL_CELLS, pixels_NP, out=cells[:, LABEL_CELLS:-1], mode="clip")  # "raise" would copy `out` first
    cells[:, -1] = ord("\n")
    return text.translate(None, b"\0")
