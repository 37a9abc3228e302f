"""Images as arrays: blocks in memory, and the memory-mapped folder of a split: images.npy (uint8), labels.npy (int64)."""

import math
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError, short_message

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


IMAGES_FILE = "images.npy"
LABELS_FILE = "labels.npy"
PIXEL = np.dtype("|u1")
LABEL = np.dtype("<i8")

# NumPy parses the header as Python source (literals alone: nothing of it is run).
BAD_HEADER_ERRORS = (
    Warning,
    ValueError,
    EOFError,
    TypeError,
    OverflowError,
    SyntaxError,
    TokenError,
    RecursionError,
    MemoryError,
)


def write_split(folder: Path, num_rows: int, shape_CHW: tuple[int, int, int], blocks: Iterable[Block]) -> None:
    """Write blocks of images, of any shape with C·H·W pixels each, and labels, together `num_rows`, into a new `folder`."""
    folder.mkdir(parents=True)
    with (folder / IMAGES_FILE).open("wb") as images_file, (folder / LABELS_FILE).open("wb") as labels_file:
        write_header(images_file, PIXEL, (num_rows, *shape_CHW))
        write_header(labels_file, LABEL, (num_rows,))
        num_written = 0
        for images, labels_N in blocks:
            assert images.size == len(labels_N) * math.prod(shape_CHW)
            images_file.write(np.ascontiguousarray(images, dtype=PIXEL).data)
            labels_file.write(np.ascontiguousarray(labels_N, dtype=LABEL).data)
            num_written += len(labels_N)
    assert num_written == num_rows


def load_split(folder: Path) -> tuple[Images, Labels]:
    """Return images_NCHW and labels_N of `folder` as read-only memory maps.

    Raises UserError for a file that is missing or is not a whole .npy file of the right type and dimensions, and for files
    that do not fit together.
    """
    images_NCHW = load_array(folder / IMAGES_FILE, PIXEL, num_dims=4)
    labels_N = load_array(folder / LABELS_FILE, LABEL, num_dims=1)
    if len(images_NCHW) != len(labels_N):
        raise UserError(f"{folder}: needs a label for each of {len(images_NCHW)} images, found {len(labels_N)} labels")
    return images_NCHW, labels_N


def take_rows(images_NCHW: Images, labels_N: Labels, rows_N: NDArray[np.intp]) -> Iterator[Block]:
    """Yield the blocks that hold the rows `rows_N`, in their order."""
    for part in row_slices(len(rows_N), math.prod(images_NCHW.shape[1:])):
        yield images_NCHW[rows_N[part]], labels_N[rows_N[part]]


def write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write what a .npy file begins with; its length does not depend on the first dimension."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def load_array(path: Path, dtype: np.dtype[Any], num_dims: int) -> NDArray[Any]:
    """The .npy file as a read-only memory map. Raises UserError for one that is missing, damaged, or of another type."""
    try:
        with warnings.catch_warnings(action="error"):
            array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except BAD_HEADER_ERRORS as error:
        raise UserError(f"{path}: not a whole .npy file: {short_message(error)}") from None
    if array.dtype != dtype or array.ndim != num_dims:
        raise UserError(f"{path}: needs {num_dims} dimensions of {dtype.name}, found {array.ndim} of {array.dtype}")
    if 0 in array.shape[1:]:
        raise UserError(f"{path}: needs images of a pixel or more, found the dimensions {array.shape}")
    return array
