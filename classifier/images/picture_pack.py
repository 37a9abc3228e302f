"""A person's pictures in two files, so that DVC need not look at thousands: their bytes one after the other, and a list.

`pictures.csv` has a line `path,split,label,size` for each, in the order of `pictures.bin`; where pictures belong to groups
(frames of a track, pictures of a patient), `group` too.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from classifier.common.errors import UserError, short_message, short_repr
from classifier.common.files import naming
from classifier.images.schema import TableSplit

CONTENTS_FILE = "pictures.bin"
LIST_FILE = "pictures.csv"
COLUMNS = ["path", "split", "label", "size"]
GROUP = "group"
FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
}
"""The formats that are read, by the names that Pillow has for them, with the suffixes by which pictures are found."""
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
SPLITS = get_args(TableSplit)
NUMBER = re.compile(r"[0-9]{1,9}")
LARGEST_PICTURE = 2**28
"""Bytes; far more than any camera makes. Each is held in memory whole."""


@dataclass(frozen=True)
class PackedPicture:
    """A line of the list; `size` in bytes. `group` is None where there are no groups."""

    path: str
    split: TableSplit
    label: int
    size: int
    group: str | None = None


Entry = tuple[str, TableSplit, int, str | None]
"""Path, split, label and group of a picture."""


def write_pack(
    folder: Path, source: Path, pictures: Iterable[Entry], num_pictures: int, read: Callable[[str], bytes], *, grouped: bool
) -> None:
    """Copy `pictures`, whose bytes `read` gets by their path, into the two files in `folder`.

    Raises UserError, with `source` in it, for a picture that is too large.
    """
    with (
        naming(folder / CONTENTS_FILE),
        (folder / CONTENTS_FILE).open("wb") as contents,
        (folder / LIST_FILE).open("w", encoding="utf-8", newline="") as listed,
    ):
        lines = csv.writer(listed, lineterminator="\n")
        lines.writerow([*COLUMNS, GROUP] if grouped else COLUMNS)
        for path, split, label, group in tqdm(pictures, "packing", num_pictures, unit=" pictures", disable=None, leave=False):
            content = read(path)
            if len(content) > LARGEST_PICTURE:
                raise UserError(f"{source}: {short_repr(path)}: needs at most {LARGEST_PICTURE} bytes, found more")
            contents.write(content)
            lines.writerow([path, split, label, len(content), *([group] if grouped else [])])


def read_list(folder: Path, num_classes: int) -> Iterator[PackedPicture]:
    """The lines of the list, one by one. Raises UserError for one that is not as `write_pack` writes it."""
    path = folder / LIST_FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            if columns not in (COLUMNS, [*COLUMNS, GROUP]):
                raise UserError(f"{path}: line 1: needs {','.join(COLUMNS)}")
            for row in reader:
                yield _packed(f"{path}: line {reader.line_num}", row, columns, num_classes)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as CSV: {short_message(error)}") from None


def count_pictures(folder: Path, num_classes: int) -> int:
    """The length of the list, all of it checked. Raises UserError also for contents of another length than the list has."""
    num_pictures = needed = 0
    for picture in read_list(folder, num_classes):
        num_pictures += 1
        needed += picture.size
    found = (folder / CONTENTS_FILE).stat().st_size
    if needed != found:
        raise UserError(f"{folder / CONTENTS_FILE}: needs the {needed} bytes of {LIST_FILE}, found {found}")
    return num_pictures


def _packed(where: str, row: list[str], columns: list[str], num_classes: int) -> PackedPicture:
    if len(row) != len(columns) or row[1] not in SPLITS or not all(NUMBER.fullmatch(cell) for cell in row[2:4]):
        raise UserError(f"{where}: needs {','.join(columns)}, found {short_repr(','.join(row))}")
    path, split, label, size = row[0], row[1], int(row[2]), int(row[3])
    if label >= num_classes or size > LARGEST_PICTURE:
        raise UserError(
            f"{where}: needs a label below {num_classes} and a size of at most {LARGEST_PICTURE}, found {label},{size}"
        )
    return PackedPicture(
        path, "train" if split == "train" else "test", label, size, row[4] if len(row) > len(COLUMNS) else None
    )


def read_contents(folder: Path, pictures: Iterable[PackedPicture]) -> Iterator[tuple[PackedPicture, bytes]]:
    """Each picture of the list with its bytes, in the list's order."""
    with (folder / CONTENTS_FILE).open("rb") as contents:
        for picture in pictures:
            yield picture, contents.read(picture.size)
