"""The small tables of plots/: CSV with `\\n` line ends, six significant digits, whole or not there."""

from pathlib import Path

import pandas as pd
from pandas.errors import EmptyDataError, ParserError

from classifier.errors import UserError
from classifier.files import write_text


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write `table` without its index."""
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table that must have `columns` and a row at least; class names stay text. Raises UserError otherwise."""
    text_columns = {"class": str, "actual": str, "predicted": str}
    try:
        table = pd.read_csv(path, dtype=text_columns, keep_default_na=False, na_values={}, encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except (EmptyDataError, ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as CSV: {' '.join(str(error).split())}") from None
    missing = [name for name in columns if name not in table.columns]
    if missing or table.empty:
        needed = f"the column {missing[0]!r}" if missing else "a row at least"
        raise UserError(f"{path}: needs {needed}, found {len(table)} rows of {', '.join(map(str, table.columns))}")
    return table
