"""A person's CSV tables of images in the layout that Kaggle uses: a header, then a line an image, the label in front."""

import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from classifier.common.errors import UserError, short_repr
from classifier.images.schema import LONGEST_NAME, TableSplit, is_printable
from classifier.images.table_header import LOOKS_LIKE_A_NUMBER, MAX_LINE_BYTES, read_header

MAX_CLASSES = 10_000
PLAIN_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def find_tables(source: Path) -> dict[TableSplit, Path]:
    """The tables to train and, if there is one, to test on: `source` itself, or what ends in train.csv and test.csv in it.

    Raises UserError when there is none to train on, or when two could be meant.
    """
    if source.is_file():
        return {"train": source}
    found: dict[TableSplit, Path] = {}
    splits: tuple[TableSplit, ...] = ("train", "test")
    for split in splits:
        tables = sorted(path for path in source.iterdir() if path.name.lower().endswith(f"{split}.csv") and path.is_file())
        if len(tables) > 1:
            raise UserError(
                f"{source}: needs one table to {split}, found {', '.join(short_repr(path.name) for path in tables[:3])}"
            )
        if tables:
            found[split] = tables[0]
    if "train" not in found:
        raise UserError(f"{source}: needs a table train.csv (label,pixel1,pixel2,…), found none")
    return found


def has_labels(path: Path) -> bool:
    """Whether the first column is `label`; the tables of a competition to be predicted have none."""
    with path.open("rb") as file:
        return read_header(file)[0].lower() == "label"


def labels_of(path: Path) -> set[str]:
    """The different labels of a table. Raises UserError for one that is empty, quoted, too long, or no plain number or name."""
    with path.open("rb") as file:
        names = read_header(file)
        if names[0].lower() != "label":
            raise UserError(f"{path}: line 1, column 1: needs 'label', found {short_repr(names[0])}; put the labels first")
        found: set[bytes] = set()
        for number, line in enumerate(_lines(path, file), start=2):
            cell = line.partition(b",")[0]
            if cell not in found:
                _check_bad_label(f"{path}: line {number}, column label", cell)
                found.add(cell)
                if len(found) > MAX_CLASSES:
                    raise UserError(
                        f"{path}: needs at most {MAX_CLASSES} classes, found more different labels; is it the label?"
                    )
    if not found:
        raise UserError(f"{path}: needs a row below the header, found none")
    return {cell.decode() for cell in found}


def classes_of(labels: set[str]) -> list[str]:
    """The classes' names in order: by number where all are numbers, else by their characters. Label k becomes classes[k]."""
    if all(PLAIN_NUMBER.fullmatch(label) for label in labels):
        return sorted(labels, key=int)
    return sorted(labels)


def _lines(path: Path, file: BufferedReader) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise UserError(f"{path}: needs lines of less than {MAX_LINE_BYTES} bytes, found a longer one")
        yield line


def _check_bad_label(where: str, cell: bytes) -> None:
    try:
        label = cell.decode()
    except UnicodeDecodeError:
        raise UserError(f"{where}: needs UTF-8, found {short_repr(cell)}") from None
    if LOOKS_LIKE_A_NUMBER.fullmatch(label) and not PLAIN_NUMBER.fullmatch(label):
        raise UserError(f"{where}: needs a plain whole number or a name, found {short_repr(label)}")
    if not label.strip() or label != label.strip() or '"' in label or not is_printable(label) or len(label) > LONGEST_NAME:
        raise UserError(f"{where}: needs a number or a name of at most {LONGEST_NAME} characters, found {short_repr(label)}")
