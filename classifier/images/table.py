"""CSV tables of images in Kaggle's layout: a header, then one line an image. Written fast; read exactly, never guessed at."""

import math
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import repeat, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError
from classifier.common.memory import keep_freed_memory
from classifier.images.arrays import Block, Images, Labels, row_slices
from classifier.images.table_header import column_names, header

PIXELS = {str(value).encode(): value for value in range(256)}


def label_texts(num_classes: int) -> dict[bytes, int]:
    """Each label below `num_classes` by the one text that a table may have for it."""
    return {str(label).encode(): label for label in range(num_classes)}


def parse_lines(path: Path, text: bytes, first_line: int, names: list[str], labels: dict[bytes, int]) -> Block:
    """Return pixels_NP and labels_N of `text`, whole lines of which the first is line `first_line` of `path`.

    A cell is a whole number in plain digits, without sign, space, quotes or leading zeros: one of `labels`, then pixels from
    0 to 255, together one for each of `names`. Raises UserError with line and column for the first that is not.
    """
    rows = [
        _parse_line(f"{path}: line {number}", line.removesuffix(b"\r"), names, labels)
        for number, line in enumerate(text.removesuffix(b"\n").split(b"\n"), start=first_line)
    ]
    return np.array([row[1:] for row in rows], dtype=np.uint8), np.array([row[0] for row in rows], dtype=np.int64)


def _parse_line(where: str, line: bytes, names: list[str], labels: dict[bytes, int]) -> list[int]:
    if not line:
        raise UserError(f"{where}: needs {len(names)} cells, found a blank line")
    cells = line.split(b",")
    if len(cells) != len(names):
        raise UserError(f"{where}: needs {len(names)} cells, found {len(cells)}")
    try:
        return [labels[cells[0]], *(PIXELS[cell] for cell in cells[1:])]
    except KeyError:
        raise _first_refusal(where, cells, names, labels) from None


def _first_refusal(where: str, cells: list[bytes], names: list[str], labels: dict[bytes, int]) -> UserError:
    allowed = [labels, *repeat(PIXELS, len(cells) - 1)]
    name, cell, numbers = next(one for one in zip(names, cells, allowed, strict=True) if one[1] not in one[2])
    found = repr(cell[:40].decode(errors="replace")) if cell else "an empty cell"
    return UserError(f"{where}, column {name}: needs a plain whole number from 0 to {len(numbers) - 1}, found {found}")


BLOCK_BYTES = 2**19
"""Measured: with the arrays made from it, a block of this size stays in a core's cache (benchmarks/table.md)."""
LABEL_BYTES = 20
PIXEL_BYTES = len(",255")


def read_table(path: Path, num_pixels: int, num_classes: int, num_rows: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield blocks of pixels_NP and labels_N, of about `block_bytes` of text each and one row at least.

    Lines may end in `\\n` or `\\r\\n`, the last one also in nothing; a UTF-8 byte order mark is skipped. Raises UserError with
    file, line and column for a header or a cell that the layout does not allow, for labels from `num_classes` on, and for a
    number of rows other than `num_rows`. What came before the fault has been yielded by then.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; run `dvc repro` to make it")
    num_found = 0
    for block in read_rows(path, column_names(num_pixels), label_texts(num_classes), block_bytes):
        num_found += len(block[1])
        if num_found > num_rows:
            raise UserError(f"{path}: line {num_rows + 2}: needs the {num_rows} rows of schema.json, found more")
        yield block
    if num_found < num_rows:
        raise UserError(f"{path}: needs the {num_rows} rows of schema.json, found {num_found}")


def read_rows(path: Path, names: list[str], labels: dict[bytes, int], block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """The same with columns of the given `names`, however many rows, and any `labels` (text to number) in the first column."""
    num_pixels = len(names) - 1
    row_bytes = max(LABEL_BYTES, *map(len, labels)) + num_pixels * PIXEL_BYTES + len("\r\n")
    first_line = 2
    keep_freed_memory()
    with path.open("rb") as file:
        _check_header(path, file.readline(2 * len(",".join(names).encode()) + len(BOM_UTF8)), names)
        for text in _whole_lines(file, max(block_bytes, row_bytes)):
            block = _parse_fast(text, num_pixels, labels) or parse_lines(path, text, first_line, names, labels)
            first_line += len(block[1])
            yield block


def _check_header(path: Path, line: bytes, names: list[str]) -> None:
    if not line:
        raise UserError(f"{path}: needs the header {names[0]},{names[1]},…,{names[-1]}, found an empty file")
    found_names = line.removeprefix(BOM_UTF8).removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace").split(",")
    for column, (needed, found) in enumerate(zip_longest(names, found_names), start=1):
        if found != needed:
            needs = "no more columns" if needed is None else repr(needed)
            finds = "none" if found is None else repr(found[:40])
            raise UserError(f"{path}: line 1, column {column}: needs {needs}, found {finds}")


def _whole_lines(file: BufferedReader, block_bytes: int) -> Iterator[bytes]:
    """Yield the rest of `file` in pieces of whole lines, each ending in a line end.

    `block_bytes` must hold the longest row. A longer line is cut there, which leaves it too long to be taken for a row.
    """
    rest = b""
    while chunk := file.read(block_bytes):
        text = rest + chunk
        end = text.rfind(b"\n") + 1
        rest = text[end:]
        if not end:
            break
        yield text[:end]
    if rest:
        yield rest + b"\n"


def _parse_fast(text: bytes, num_pixels: int, labels: dict[bytes, int]) -> Block | None:
    """Parse whole lines, a whole array of bytes in each step; None when anything in them is not as the layout has it."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    codes = np.frombuffer(text, dtype=np.uint8)
    digits = codes - np.uint8(ord("0"))  # what is no digit wraps round to more than 9
    is_end = digits > 9
    flat_ends = np.flatnonzero(is_end)
    if len(flat_ends) % (1 + num_pixels) or np.any(is_end[1:] & is_end[:-1]):
        return None  # a ragged row, or an empty cell that is no label
    ends_NP = flat_ends.reshape(-1, 1 + num_pixels)
    num_commas = np.count_nonzero(codes == ord(","))
    if num_commas != len(ends_NP) * num_pixels or not np.array_equal(np.flatnonzero(codes == ord("\n")), ends_NP[:, -1]):
        return None  # ragged rows that make up for each other, or a character that belongs nowhere
    starts = [0, *(ends_NP[:-1, -1] + 1).tolist()]
    label_cells = [text[start:end] for start, end in zip(starts, ends_NP[:, 0].tolist(), strict=True)]
    pixels_NP = _pixels(digits, is_end, ends_NP[:, 1:])
    num_pixel_digits = len(text) - ends_NP.size - sum(map(len, label_cells))
    if not labels.keys() >= set(label_cells) or pixels_NP is None or num_pixel_digits != _num_plain_digits(pixels_NP):
        return None  # out of range, or more digits than it takes
    return pixels_NP, np.array([labels[cell] for cell in label_cells], dtype=np.int64)


def _pixels(digits: NDArray[np.uint8], is_end: NDArray[np.bool_], ends_NP: NDArray[np.intp]) -> Images | None:
    """The numbers that the last three digits before each of `ends_NP` make, or None when one is above 255."""
    digits = digits * ~is_end
    below_100 = digits.copy()
    below_100[1:] += 10 * digits[:-1]
    hundreds = np.zeros_like(digits)
    hundreds[2:] = digits[:-2] * ~is_end[1:-1]
    numbers = hundreds[ends_NP - 1] * np.uint16(100) + below_100[ends_NP - 1]
    return numbers.astype(np.uint8) if numbers.max() <= 255 else None


def _num_plain_digits(pixels_NP: Images) -> int:
    """How many digits these pixels take; a text that has more has them in vain."""
    return int(pixels_NP.size + np.count_nonzero(pixels_NP > 9) + np.count_nonzero(pixels_NP > 99))


# The byte order is part of the text, so it is fixed: it must not follow the machine's.
CELL = np.dtype("<u4")
PIXEL_CELLS = np.frombuffer(b"".join(f",{value}".encode().ljust(CELL.itemsize, b"\0") for value in range(256)), dtype=CELL)
# 20 bytes hold every 64-bit number.
LABEL_CELLS = 5


def write_table(path: Path, num_pixels: int, blocks: Iterable[tuple[Images, Labels | NDArray[np.bytes_]]]) -> int:
    """Write blocks of images, of any shape with `num_pixels` each, and labels (from 0 on, or texts); return how many rows."""
    num_rows = 0
    with path.open("wb") as file:
        file.write(header(num_pixels) + b"\n")
        for images, labels_N in blocks:
            pixels_NP = images.reshape(len(labels_N), num_pixels)
            for rows in row_slices(len(labels_N), num_pixels * CELL.itemsize):
                file.write(_lines(pixels_NP[rows], labels_N[rows]))
            num_rows += len(labels_N)
    return num_rows


def _lines(pixels_NP: Images, labels_N: Labels | NDArray[np.bytes_]) -> bytearray:
    num_rows, num_pixels = pixels_NP.shape
    label_cells = LABEL_CELLS if labels_N.dtype.kind == "i" else math.ceil(labels_N.dtype.itemsize / CELL.itemsize)
    num_cells = label_cells + num_pixels + 1
    text = bytearray(num_rows * num_cells * CELL.itemsize)
    cells = np.frombuffer(text, dtype=CELL).reshape(num_rows, num_cells)
    label_texts = labels_N.astype(f"S{label_cells * CELL.itemsize}")
    cells[:, :label_cells] = label_texts.view(CELL).reshape(num_rows, label_cells)
    np.take(PIXEL_CELLS, pixels_NP, out=cells[:, label_cells:-1], mode="clip")  # "raise" would copy `out` first
    cells[:, -1] = ord("\n")
    return text.translate(None, b"\0")


def image_shape(path: Path, num_pixels: int, asked: list[int] | None) -> tuple[int, int, int]:
    """Channels, height and width of the images of `path`: as `asked`, or a square in grey or colour. UserError if neither."""
    if asked is not None:
        channels, height, width = asked
        if channels not in (1, 3) or channels * height * width != num_pixels:
            raise UserError(
                f"{path}: image_shape {asked} needs 1 or 3 channels and their product to be the {num_pixels} pixels here"
            )
        return channels, height, width
    for channels in (1, 3):
        side = math.isqrt(num_pixels // channels)
        if channels * side * side == num_pixels:
            return channels, side, side
    raise UserError(
        f"{path}: {num_pixels} pixels are neither a square nor three; say their shape, such as "
        f"-S 'image_shape=[1,{num_pixels},1]' (channels, height, width)"
    )
