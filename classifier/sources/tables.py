"""A person's tables of pixels, found and read whatever their layout; and what our own layout is.

Ours is the one that Kaggle uses: a header `label,pixel1,…`, then a line an image, whole numbers from 0 to 255. A table that has
it already is left as it is.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError, short_repr
from classifier.common.text import is_printable
from classifier.images.arrays import Images
from classifier.images.schema import LONGEST_NAME, DatasetSplit, TableSplit
from classifier.images.table import read_rows
from classifier.images.table_header import LOOKS_LIKE_A_NUMBER, MAX_LINE_BYTES, read_header
from classifier.sources import npz_file
from classifier.sources.csv_layouts import Asked, Layout, find_layout
from classifier.sources.files import ArchiveFiles, SourceFiles, is_archive, open_archive
from classifier.sources.labels import SPLIT_WORDS, split_of_word
from classifier.sources.listing import shown
from classifier.sources.params import PIXEL_TABLES
from classifier.sources.rows import DARK, KNOWN, PixelRange, Rows, find_white, joined, planar, scaled, seem_interleaved

MAX_CLASSES = 10_000
TOO_LARGE = re.compile(r"from 0 to 255, found '[1-9][0-9]{2,}'$")
FLOATS_WITHIN = 2**16
"""Bytes in which a table of floats shows the point of one."""
QUOTE_OR_SPACE = (b'"', b" ")
MISSING = {"nan", "na", "n/a", "none", "null", "<na>"}
"""What programs write for a cell that has nothing."""
PLAIN_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
FLOAT = re.compile(r"[0-9]+\.0*|[0-9]\.[0-9]+[eE][+-]?[0-9]{1,2}")


@contextmanager
def tables_folder(source: Path, archive: ArchiveFiles | None = None) -> Iterator[Path]:
    """Where the tables of `source` lie: an archive's are unpacked into a temporary folder. Errors name the archive.

    `archive` is that of `source`, if that is open. Raises UserError for one that has none, or has them in several folders.
    """
    if source.is_dir() or not is_archive(source):
        yield source
        return
    archive = archive or open_archive(source)
    paths = tables_in(archive)
    folders = sorted({path.rpartition("/")[0] for path in paths})
    if len(folders) != 1:
        found = f"them in {shown(folders)}" if folders else "none"
        raise UserError(f"{source}: needs tables of pixels ({', '.join(PIXEL_TABLES)}) in one folder, found {found}")
    with tempfile.TemporaryDirectory(prefix="tables-") as name:
        folder = Path(name)
        try:
            for path in paths:
                archive.unpack(path, folder / path.rpartition("/")[2])
            yield folder
        except UserError as error:
            raise UserError(str(error).replace(name, str(source))) from None


def tables_in(files: SourceFiles) -> list[str]:
    """Those files that are tables of pixels by their names."""
    return [path for path in files.others if path.lower().endswith(PIXEL_TABLES)]


def find_tables(source: Path) -> dict[DatasetSplit, Path]:
    """The table of each split: `source` itself, or what ends in train.csv, val.csv and test.csv in it, or its only table.

    Raises UserError when there is none to train on, or when two could be meant.
    """
    if source.is_file():
        return {"train": source}
    tables = sorted(path for path in source.iterdir() if path.name.lower().endswith(PIXEL_TABLES) and path.is_file())
    found: dict[DatasetSplit, Path] = {}
    begin = ""
    for split, words in SPLIT_WORDS.items():
        begins = {path: _begin(path, words) for path in tables if _stem(path).endswith(words)}
        named = [path for path, one in begins.items() if split == "train" or one == begin or not one[-1:].isalpha()]
        if len(named) > 1:
            raise UserError(
                f"{source}: needs one table to {split}, found {', '.join(short_repr(path.name) for path in named[:3])}"
            )
        if named:
            found[split] = named[0]
        if split == "train" and named:
            begin = begins[named[0]]
    if not found and len(tables) == 1:
        return {"train": tables[0]}
    if "train" not in found:
        held = ", ".join(short_repr(path.name) for path in tables[:3]) or "none; of pictures, say -S dataset=folder"
        raise UserError(f"{source}: needs a table train.csv (label,pixel1,pixel2,…), or one table alone, found {held}")
    return found


def other_tables(source: Path, found: dict[DatasetSplit, Path]) -> list[str]:
    """Names of the tables in the folder `source` that are none of those `found`."""
    if source.is_file():
        return []
    tables = {path.name for path in source.iterdir() if path.name.lower().endswith(PIXEL_TABLES) and path.is_file()}
    return sorted(tables - {path.name for path in found.values()})


def _begin(path: Path, words: tuple[str, ...]) -> str:
    """What stands before the word of a split: `latest` ends in `test`, but beside `train` it is no name of a test split."""
    stem = _stem(path)
    return stem.removesuffix(max((word for word in words if stem.endswith(word)), key=len))


def _stem(path: Path) -> str:
    name = path.name.lower()
    return name[: -len(next(suffix for suffix in PIXEL_TABLES if name.endswith(suffix)))]


@dataclass(frozen=True)
class Table:
    """One file, or one split of a .npz file, whatever its layout. `where` is for errors; `notes` say what is taken for what."""

    where: str
    path: Path
    split: DatasetSplit
    content: Layout | npz_file.Arrays
    notes: list[str] = field(default_factory=list)

    @property
    def has_labels(self) -> bool:
        """The tables of a competition to be predicted have none."""
        return (self.content.label if isinstance(self.content, Layout) else self.content.labels) is not None

    @property
    def may_be_interleaved(self) -> bool:
        """Whether nothing says in which order the channels are."""
        return isinstance(self.content, Layout) and not self.content.channels_named

    def blocks(self) -> Iterator[Rows]:
        """All rows."""
        if not isinstance(self.content, Layout):
            return npz_file.read_arrays(self.path, self.content)
        from classifier.sources.csv_rows import read_blocks  # pandas takes half a second to import

        return read_blocks(self.path, self.content)


def open_tables(paths: dict[DatasetSplit, Path], asked: Asked) -> list[Table]:
    """What is in the files. Raises UserError where that is not clear."""
    tables: list[Table] = []
    for split, path in paths.items():
        if path.suffix.lower() == ".npz":
            if len(paths) > 1:
                raise UserError(f"{path}: a .npz file holds all splits; give it alone, such as -S source={path}")
            tables += [
                Table(f"{path}: {names.images}", path, part, names) for part, names in npz_file.find_arrays(path).items()
            ]
        else:
            like = next((table.content for table in tables if isinstance(table.content, Layout)), None)
            layout = find_layout(path, asked, like)
            tables.append(Table(str(path), path, split, layout, layout.notes))
    if not tables[0].has_labels:
        raise UserError(
            f"{tables[0].where}: line 1, column 1: needs 'label', found no column of labels; name one `label`, or say "
            "-S label_column=NAME"
        )
    return tables


def open_table_of_images(path: Path) -> Table:
    """The table at `path`, whose images are to be predicted: labels are left out. Raises UserError where that is not clear."""
    if path.suffix.lower() == ".npz":
        images = npz_file.find_images(path)
        return Table(f"{path}: {images.images}", path, "test", images)
    layout = find_layout(path, Asked(labels_needed=False))
    return Table(str(path), path, "test", layout, layout.notes)


def is_ours(table: Table) -> bool:
    """Whether the table has our own layout already, as far as its beginning and its end show, and pixels up to 255."""
    layout = table.content
    if not isinstance(layout, Layout) or layout.in_cell or table.path.suffix.lower() != ".csv":
        return False
    if layout.separator != "," or not layout.has_header or layout.label != 0 or layout.names[0].lower() != "label":
        return False
    if layout.pixels != list(range(1, len(layout.names))):
        return False
    with table.path.open("rb") as file:
        header = file.readline(MAX_LINE_BYTES)
        begin = file.read(FLOATS_WITHIN)
        file.seek(max(0, table.path.stat().st_size - len(b"\r\n\r\n")))
        end = file.read()
    if b'"' in header or b" " in header or b"." in begin.partition(b",")[2] or end.endswith((b"\n\n", b"\n\r\n")):
        return False
    if begin.partition(b"\n")[0].rstrip().endswith(b",") or not _has_bare_labels(table.path):
        return False
    labels = {label.encode(): number for number, label in enumerate(sorted(labels_of(table.path)))}
    with table.path.open("rb") as file:
        names = read_header(file)
    try:
        for pixels_NP, _ in read_rows(table.path, names, labels):
            if table.may_be_interleaved and seem_interleaved(pixels_NP):
                return False
            if pixels_NP.max(initial=0) >= DARK:
                return True
    except UserError as error:
        if not TOO_LARGE.search(str(error)):
            raise
        raise UserError(f"{error}; where white is a larger number, say it, such as -S pixel_max=65535") from None
    return False


def _has_bare_labels(path: Path) -> bool:
    """Whether no label stands in quotes or between spaces, which a table of ours has nowhere."""
    with path.open("rb") as file:
        file.readline(MAX_LINE_BYTES)
        cells = (line.partition(b",")[0] for line in _lines(path, file))
        return not any(cell[:1] in QUOTE_OR_SPACE or cell[-1:] in QUOTE_OR_SPACE for cell in cells)


def labels_of(path: Path) -> set[str]:
    """The different labels of a table of ours. Raises UserError for one that is empty, quoted, too long, or no plain name."""
    with path.open("rb") as file:
        names = read_header(file)
        if names[0].lower() != "label":
            raise UserError(f"{path}: line 1, column 1: needs 'label', found {short_repr(names[0])}; put the labels first")
        found: set[bytes] = set()
        for number, line in enumerate(_lines(path, file), start=2):
            cell = line.partition(b",")[0]
            if cell not in found:
                try:
                    label = cell.decode()
                except UnicodeDecodeError:
                    raise UserError(f"{path}: line {number}, column label: needs UTF-8, found {short_repr(cell)}") from None
                _check_bad_label(f"{path}: line {number}, column label", label)
                found.add(cell)
                _check_too_many(str(path), len(found))
    if not found:
        raise UserError(f"{path}: needs a row below the header, found none")
    return {cell.decode() for cell in found}


def checked_classes(where: str, labels: set[str]) -> list[str]:
    """`classes_of`. Raises UserError for fewer than two, and among numbers for a word that means a missing one."""
    numbers = {label for label in labels if PLAIN_NUMBER.fullmatch(label)}
    rest = labels - numbers
    if numbers and rest and all(label.lower() in MISSING for label in rest):
        raise UserError(f"{where}: needs a label in each row, found {short_repr(min(rest))} among numbers; remove those rows")
    if len(labels) < 2:
        raise UserError(f"{where}: needs two classes or more, found {len(labels)}")
    return classes_of(labels)


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


def _check_too_many(where: str, num_labels: int) -> None:
    if num_labels > MAX_CLASSES:
        raise UserError(f"{where}: needs at most {MAX_CLASSES} classes, found more different labels; is it the label?")


def _check_bad_label(where: str, label: str) -> None:
    if LOOKS_LIKE_A_NUMBER.fullmatch(label) and not PLAIN_NUMBER.fullmatch(label):
        raise UserError(f"{where}: needs a plain whole number or a name, found {short_repr(label)}")
    if not label.strip() or label != label.strip() or not is_printable(label) or len(label) > LONGEST_NAME:
        raise UserError(f"{where}: needs a number or a name of at most {LONGEST_NAME} characters, found {short_repr(label)}")
    if '"' in label or "," in label:
        raise UserError(f"{where}: needs a number or a name without commas and quotes, found {short_repr(label)}")


@dataclass
class Survey:
    """All of a person's tables, read once: the range of the pixels, the classes, the rows of each split."""

    tables: list[Table]
    white: int
    classes: list[str]
    interleaved: bool
    num_pixels: int
    rows: Counter[DatasetSplit]
    notes: list[str]

    @property
    def names(self) -> dict[DatasetSplit, TableSplit]:
        """Validation images are images to test on where there are no others, and else some more to train on."""
        return {"train": "train", "val": "train" if self.rows["test"] else "test", "test": "test"}

    def blocks(self, split: TableSplit) -> Iterator[tuple[Images, NDArray[np.bytes_]]]:
        """Pixels from 0 to 255 of the rows of `split`, and the names of their classes in UTF-8."""
        longest = max(len(name.encode()) for name in self.classes)
        for table in self.tables:
            for rows in table.blocks():
                assert rows.labels_N is not None
                splits_N = _splits(table, rows)
                chosen = np.array([self.names[one] == split for one in splits_N], dtype=np.bool_)
                if not chosen.any():
                    continue
                pixels_NP = planar(rows.pixels_NP) if self.interleaved and table.may_be_interleaved else rows.pixels_NP
                texts = [_plain(label).encode() for label, taken in zip(rows.labels_N, chosen.tolist(), strict=True) if taken]
                yield scaled(pixels_NP[chosen], self.white), np.array(texts, dtype=f"S{longest}")


def survey(tables: list[Table], pixel_max: int | None) -> Survey:
    """Read all rows once. Raises UserError for labels, splits or pixels that cannot be taken."""
    labels, rows, interleaved, num_pixels = set[str](), Counter[DatasetSplit](), False, 0
    ranges: list[PixelRange] = []
    labels_by_split: dict[DatasetSplit, set[str]] = {split: set() for split in SPLIT_WORDS}
    for table in tables:
        num_rows = 0
        ranges.append(PixelRange())
        for number, block in enumerate(table.blocks()):
            num_rows += len(block.pixels_NP)
            num_pixels = num_pixels or block.pixels_NP.shape[1]
            if block.pixels_NP.shape[1] != num_pixels:
                raise UserError(
                    f"{table.where}: needs {num_pixels} pixels an image, as {tables[0].path.name}, "
                    f"found {block.pixels_NP.shape[1]}"
                )
            if not number and table.split == "train":
                interleaved = table.may_be_interleaved and seem_interleaved(block.pixels_NP)
            ranges[-1].take(block.pixels_NP)
            assert block.labels_N is not None
            for label in sorted(set(map(_plain, block.labels_N)) - labels):
                _check_bad_label(f"{table.where}: column of the labels", label)
                labels.add(label)
            _check_too_many(table.where, len(labels))
            splits_N = _splits(table, block)
            rows.update(splits_N)
            for split, label in set(zip(splits_N, block.labels_N, strict=True)):
                labels_by_split[split].add(_plain(label))
        if not num_rows:
            raise UserError(
                f"{table.where}: needs a row below the header, found none"
                if isinstance(table.content, Layout)
                else (f"{table.where}: needs images, found none")
            )
    if not rows["train"]:
        raise UserError(f"{tables[0].where}: needs rows to train on, found none")
    white, notes = find_white(tables[0].where, joined(ranges), pixel_max)
    if pixel_max is None:
        _check_ranges(tables, ranges, white)
    if interleaved:
        notes.append("red, green and blue follow each other pixel by pixel, as every third number is the nearest")
    if rows["val"]:
        to = "joined to those to train on" if rows["test"] else "taken to test on"
        notes.append(f"the {rows['val']} images to validate on are {to}; `val_fraction` cuts others to validate on")
    classes = checked_classes(tables[0].where, labels)
    notes += check_classes_of_splits(tables[0].where, labels_by_split)
    return Survey(tables, white, classes, interleaved, num_pixels, rows, notes)


def _check_ranges(tables: list[Table], ranges: list[PixelRange], white: int) -> None:
    """Raise UserError where one table ends at 1 or 16 and another goes far beyond: scaled alike, the first would be black."""
    widest = max(range(len(tables)), key=lambda number: ranges[number].largest)
    for table, one in zip(tables, ranges, strict=True):
        if any(0 < one.largest <= end < white for end in (1, KNOWN[-1])):
            raise UserError(
                f"{table.where}: needs pixels of one range in all tables, found {one}, and {ranges[widest]} in "
                f"{Path(tables[widest].where).name}; write both alike, or say the value of white in both, such as "
                f"-S pixel_max={white}"
            )


def check_classes_of_splits(where: str, labels: Mapping[DatasetSplit, set[str]]) -> list[str]:
    """What is to be said of classes that are not in all splits. Raises UserError where no test image has a class of train."""
    val, test = labels.get("val", set[str]()), labels.get("test", set[str]())
    train, test = (labels["train"] | val, test) if test else (labels["train"], val)
    if len(train) < 2:
        raise UserError(f"{where}: needs two classes or more to train on, found only {short_repr(min(train))} there")
    if test and not test & train:
        raise UserError(
            f"{where}: the images to test on have no class of those to train on: theirs are {shown(sorted(test), 5)}, to train "
            f"on {shown(sorted(train), 5)}; call the same class the same"
        )
    return [f"classes to test on that there are none of to train on: {shown(sorted(test - train))}"] if test - train else []


def _plain(label: str) -> str:
    """A whole number that is written as a float, as `3.0`, without its point."""
    return str(int(float(label))) if FLOAT.fullmatch(label) and float(label).is_integer() else label


def _splits(table: Table, rows: Rows) -> list[DatasetSplit]:
    if rows.splits_N is None:
        return [table.split] * len(rows.pixels_NP)
    split_of = {cell: split_of_word(cell) for cell in set(rows.splits_N)}
    unknown = {cell for cell, split in split_of.items() if split is None}
    if unknown:
        assert isinstance(table.content, Layout)
        assert table.content.split is not None
        raise UserError(
            f"{table.where}: column {table.content.names[table.content.split]}: needs a split (train, val or test), found "
            f"{short_repr(min(unknown))}"
        )
    return [split for cell in rows.splits_N if (split := split_of[cell]) is not None]
