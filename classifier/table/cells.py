"""The exact and slow reading of a table's lines: it defines what is allowed, and says where what is not stands."""

from itertools import repeat
from pathlib import Path

import numpy as np

from classifier.blocks import Block
from classifier.common.errors import UserError

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
