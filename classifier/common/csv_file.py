"""The small tables of plots/: CSV with `\\n` line ends, six significant digits, whole or not there."""

import csv
import math
import re
from pathlib import Path

import pandas as pd

from classifier.common.errors import MAX_SHOWN, UserError, short_message, short_repr
from classifier.common.files import write_text

TEXT_COLUMNS = {"class", "actual", "predicted"}
"""Class names; all other columns hold numbers."""
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[-+]?[0-9]+)?")
LARGEST = 1e100
"""Far above any figure of ours, and far enough from the largest float for what draws it to do sums with it."""


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write `table` without its index."""
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table that must have `columns` and a row at least: text in TEXT_COLUMNS, finite numbers in all others.

    Raises UserError for anything else. (`pandas.read_csv` would make an index of the cells that a row has too many.)
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except (csv.Error, ValueError) as error:  # ValueError: not UTF-8, or no header
        raise UserError(f"{path}: not readable as CSV: {short_message(error)}") from None
    missing = [name for name in columns if name not in header]
    if missing or not rows:
        needed = f"the column {missing[0]!r}" if missing else "a row at least"
        raise UserError(f"{path}: needs {needed}, found {len(rows)} rows of {', '.join(header)[:MAX_SHOWN]}")
    _check_ragged(path, header, rows)
    table = pd.DataFrame(rows, columns=header, dtype=str)
    for name in set(header) - TEXT_COLUMNS:
        table[name] = _numbers(path, name, table[name].to_list())
    return table


def _check_ragged(path: Path, header: list[str], rows: list[list[str]]) -> None:
    if len(set(header)) < len(header):
        raise UserError(f"{path}: needs columns of different names, found {', '.join(header)[:MAX_SHOWN]}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise UserError(f"{path}: row {number}: needs {len(header)} cells, found {len(row)}")


def _numbers(path: Path, name: str, cells: list[str]) -> list[int] | list[float]:
    for number, cell in enumerate(cells, start=1):
        if not NUMBER.fullmatch(cell) or not math.fabs(float(cell)) < LARGEST:
            raise UserError(f"{path}: row {number}, column {short_repr(name)}: needs a number, found {short_repr(cell)}")
    return [int(cell) for cell in cells] if all(cell.isdecimal() for cell in cells) else [float(cell) for cell in cells]
