"""The rows of a person's CSV table, block by block, whatever its layout. Legend: N rows of a block, P pixels of an image."""

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from classifier.common.errors import UserError, short_message, short_repr
from classifier.images.table_header import MAX_LINE_BYTES
from classifier.sources.csv_layouts import Layout, opened
from classifier.sources.rows import Numbers, Rows

PIECE_BYTES = 2**22
BRACKETS_AND_COMMAS = str.maketrans("[](),;\n", " " * 7)
IN_LINE = re.compile(r"Expected (?P<needed>[0-9]+) fields in line (?P<line>[0-9]+), saw (?P<found>[0-9]+)")


def read_blocks(path: Path, layout: Layout) -> Iterator[Rows]:
    """All rows of the table in blocks of some megabytes. Raises UserError with line and column for what is no number."""
    for first_line, frame in _frames(path, layout):
        labels_N, splits_N = (
            None if place is None else [str(cell).strip() for cell in frame[place]] for place in (layout.label, layout.split)
        )
        if layout.in_cell:
            pixels = _from_cells(path, first_line, frame[layout.pixels[0]], layout.names[layout.pixels[0]])
        else:
            pixels = frame[layout.pixels]
            pixels = pixels.set_axis([layout.names[place] for place in layout.pixels], axis="columns")
        yield Rows(labels_N, splits_N, _numbers(path, first_line, pixels))


def _frames(path: Path, layout: Layout) -> Iterator[tuple[int, pd.DataFrame]]:
    """The line that each block begins at, and its cells, columns being positions."""
    texts = {
        place: str for place in (layout.label, layout.split, *(layout.pixels if layout.in_cell else [])) if place is not None
    }
    line = 1 + layout.has_header
    with opened(path) as file:
        if layout.has_header:
            file.readline(MAX_LINE_BYTES)
        for piece in _pieces(path, file):
            frame = _parsed(path, line, piece, layout.separator, len(layout.names), texts)
            yield line, frame
            line += len(frame)


def _pieces(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Whole rows, of which a cell in quotes may have several lines; the empty ones at the end of the table are left out."""
    rest = b""
    while chunk := file.read(PIECE_BYTES):
        text = rest + chunk
        whole = text[: _end_of_rows(text)]
        body = whole.rstrip(b"\r\n")
        if body:
            yield body
            ends = whole[len(body) :]
            rest = ends[ends.index(b"\n") + 1 :] + text[len(whole) :]
        else:
            rest = text
        if len(rest) >= MAX_LINE_BYTES:
            raise UserError(f"{path}: needs lines of less than {MAX_LINE_BYTES} bytes, found a longer one")
    if rest.strip():
        yield rest.rstrip(b"\r\n")


def _end_of_rows(text: bytes) -> int:
    """After the last line end that is not within quotes, or where a quote is none, as in `7" disc`, after the last one."""
    last = end = text.rfind(b"\n") + 1
    num_quotes = text.count(b'"', 0, end)
    while end and num_quotes % 2:
        before = text.rfind(b"\n", 0, end - 1) + 1
        num_quotes -= text.count(b'"', before, end)
        end = before
    return end or last


def _parsed(
    path: Path, first_line: int, text: bytes, separator: str, num_columns: int, kinds: dict[int, type[str]]
) -> pd.DataFrame:
    try:
        with (
            warnings.catch_warnings(action="error", category=pd.errors.ParserWarning),
            pd.option_context("mode.string_storage", "python"),  # where pyarrow is installed, a separator at the end is refused
        ):
            return pd.read_csv(
                io.BytesIO(text),
                sep=separator,
                header=None,
                names=range(num_columns),
                index_col=False,
                keep_default_na=False,
                skip_blank_lines=False,
                low_memory=False,
                dtype=kinds,
            )
    except pd.errors.ParserWarning:
        raise UserError(f"{path}: line {first_line}: needs {num_columns} cells, found more") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: needs UTF-8, found other bytes from line {first_line} on") from None
    except (pd.errors.ParserError, ValueError, OverflowError) as error:
        if found := IN_LINE.search(str(error)):
            line = first_line + int(found["line"]) - 1
            raise UserError(f"{path}: line {line}: needs {found['needed']} cells, found {found['found']}") from None
        raise UserError(f"{path}: not readable as CSV from line {first_line} on: {short_message(error)}") from None


def _numbers(path: Path, first_line: int, pixels: pd.DataFrame) -> Numbers:
    for name, kind in pixels.dtypes.items():
        if kind.kind not in "iuf":
            _raise_first_refusal(path, first_line, str(name), pixels[name])
    pixels_NP = pixels.to_numpy()
    if pixels_NP.dtype.kind == "f" and not np.isfinite(pixels_NP).all():
        row, column = np.argwhere(~np.isfinite(pixels_NP))[0]
        raise UserError(
            f"{path}: line {first_line + row}, column {pixels.columns[column]}: needs a number, found no finite one"
        )
    return pixels_NP.astype(np.float64 if pixels_NP.dtype.kind == "f" else np.int64, copy=False)


def _raise_first_refusal(path: Path, first_line: int, name: str, cells: "pd.Series[Any]") -> None:
    numbers = pd.to_numeric(cells.astype(str), errors="coerce")
    bad = np.flatnonzero(numbers.isna())
    row = int(bad[0]) if len(bad) else 0
    cell = str(cells.iloc[row])
    found = short_repr(cell) if cell else "an empty cell"
    raise UserError(f"{path}: line {first_line + row}, column {name}: needs a number, found {found}")


def _from_cells(path: Path, first_line: int, cells: "pd.Series[str]", name: str) -> pd.DataFrame:
    """The numbers in the cells of one column, as columns; each cell must have as many as the first."""
    lines = [cell.translate(BRACKETS_AND_COMMAS).strip() for cell in cells]
    num_pixels = len(lines[0].split())
    for row, line in enumerate(lines):
        if line.count(" ") < num_pixels - 1 or not line:
            raise UserError(
                f"{path}: line {first_line + row}, column {name}: needs {num_pixels} numbers as the cell before, found "
                f"{len(line.split())}"
            )
    return _parsed(path, first_line, "\n".join(lines).encode(), r"\s+", num_pixels, {}).set_axis(
        [f"{name} {number}" for number in range(1, num_pixels + 1)], axis="columns"
    )
