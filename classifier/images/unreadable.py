"""The list of the pictures that could not be read: `path,reason`, beside the tables of those that could."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.common.errors import UserError, short_message, short_repr
from classifier.common.files import write_text

UNREADABLE_FILE = "unreadable.csv"
COLUMNS = ["path", "reason"]


@dataclass(frozen=True)
class Unreadable:
    """A picture file that could not be read, and why."""

    path: str
    reason: str


def write_unreadable(folder: Path, unreadable: Sequence[Unreadable]) -> None:
    """Write the list into `folder`, in its order."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows([one.path, one.reason] for one in unreadable)
    write_text(folder / UNREADABLE_FILE, text.getvalue())


def read_unreadable(folder: Path) -> list[Unreadable]:
    """The list in `folder`; empty where there is none, as of data that are no pictures. Raises UserError for a damaged one."""
    path = folder / UNREADABLE_FILE
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
    except (csv.Error, ValueError) as error:  # ValueError: not UTF-8, or no header
        raise UserError(f"{path}: not readable as CSV: {short_message(error)}") from None
    for row in [header, *rows]:
        if len(row) != len(COLUMNS) or header != COLUMNS:
            raise UserError(f"{path}: needs lines of {','.join(COLUMNS)}, found {short_repr(','.join(row))}")
    return [Unreadable(*row) for row in rows]
