"""The group of each row of train.csv, where pictures have groups: a file of lines beside the table.

A group (the frames of a track, the pictures of a patient) stays whole when a split is cut from the rows to train on.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError, short_message, short_repr
from classifier.common.files import write_text

GROUPS_FILE = "groups.csv"
HEADER = ["group"]

Groups = NDArray[np.int64]
"""groups_N: rows of one group have the same number, from 0 in the order in which groups first come."""


def write_groups(folder: Path, names: Sequence[str], groups_N: Sequence[int]) -> None:
    """Write the name of each row's group into `folder`; `groups_N` are places in `names`."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    lines.writerows([names[group]] for group in groups_N)
    write_text(folder / GROUPS_FILE, text.getvalue())


def read_groups(folder: Path, num_rows: int) -> Groups | None:
    """The groups of the `num_rows` rows to train on; None where there are none. Raises UserError for a damaged file."""
    path = folder / GROUPS_FILE
    if not path.exists():
        return None
    numbers: dict[str, int] = {}
    groups_N = np.empty(num_rows, dtype=np.int64)
    num_found = 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            if next(reader, []) != HEADER:
                raise UserError(f"{path}: line 1: needs {HEADER[0]}")
            for row in reader:
                if len(row) != 1:
                    raise UserError(f"{path}: line {reader.line_num}: needs one group, found {short_repr(','.join(row))}")
                if num_found < num_rows:
                    groups_N[num_found] = numbers.setdefault(row[0], len(numbers))
                num_found += 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as CSV: {short_message(error)}") from None
    if num_found != num_rows:
        raise UserError(f"{path}: needs the {num_rows} rows of train.csv, found {num_found}")
    return groups_N
