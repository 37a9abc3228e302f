"""Tables of images with so many pixels that a CSV cell for each is the wrong shape.

Then `train.csv` has the lines `row,label`, and `train.npy` beside it the pixels: row k is images_NCHW[k], uint8.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from classifier.common.errors import UserError, short_repr
from classifier.images.arrays import LABEL, PIXEL, Block, Images, Labels, load_array, write_header

MAX_COLUMNS = 64 * 64 * 3
"""Pixels that a CSV table has columns for; images with more are packed."""
HEADER = b"row,label\n"
LONGEST_LINE = 50


def write_packed(folder: Path, split: str, shape_CHW: tuple[int, int, int], blocks: Iterable[Block]) -> int:
    """Write the two files of `split` into `folder`; return the number of rows."""
    num_rows = 0
    with (folder / f"{split}.csv").open("wb") as table, (folder / f"{split}.npy").open("w+b") as pixels:
        table.write(HEADER)
        write_header(pixels, PIXEL, (0, *shape_CHW))
        for images, labels_N in blocks:
            table.write(b"".join(b"%d,%d\n" % (num_rows + row, label) for row, label in enumerate(labels_N.tolist())))
            pixels.write(np.ascontiguousarray(images, dtype=PIXEL).data)
            num_rows += len(labels_N)
        pixels.seek(0)
        write_header(pixels, PIXEL, (num_rows, *shape_CHW))  # as long as the first: NumPy leaves room for the number of rows
    return num_rows


def read_packed(
    folder: Path, split: str, shape_CHW: tuple[int, int, int], num_classes: int, num_rows: int
) -> tuple[Images, Labels]:
    """Return images_NCHW of `split`, as a read-only memory map, and labels_N.

    Raises UserError for arrays of another shape than (`num_rows`, *`shape_CHW`), for rows that are not numbered 0, 1, 2, … and
    for labels that are no plain number below `num_classes`.
    """
    images_NCHW: Images = load_array(folder / f"{split}.npy", PIXEL, num_dims=4)
    if images_NCHW.shape != (num_rows, *shape_CHW):
        needed = (num_rows, *shape_CHW)
        raise UserError(f"{folder / f'{split}.npy'}: needs the dimensions {needed} of schema.json, found {images_NCHW.shape}")
    return images_NCHW, _read_labels(folder / f"{split}.csv", num_classes, num_rows)


def _read_labels(path: Path, num_classes: int, num_rows: int) -> Labels:
    labels_N = np.empty(num_rows, dtype=LABEL)
    with path.open("rb") as file:
        if (header := file.readline(LONGEST_LINE)) != HEADER:
            raise UserError(f"{path}: line 1: needs row,label, found {short_repr(header.decode(errors='replace'))}")
        for row in range(num_rows):
            line = file.readline(LONGEST_LINE)
            number, _, label = line.removesuffix(b"\n").partition(b",")
            plain = label.isdigit() and len(label) < 10 and b"%d" % int(label) == label and int(label) < num_classes
            if number != b"%d" % row or not plain:
                needed = f"{row},<a number from 0 to {num_classes - 1}>"
                raise UserError(f"{path}: line {row + 2}: needs {needed}, found {short_repr(line.decode(errors='replace'))}")
            labels_N[row] = int(label)
        if file.readline(LONGEST_LINE):
            raise UserError(f"{path}: line {num_rows + 2}: needs the {num_rows} rows of schema.json, found more")
    return labels_N
