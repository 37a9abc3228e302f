"""Tables that say which class a picture has: .csv, .tsv and .jsonl with a header, and lists of lines `path label`."""

import csv
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import PurePosixPath

from classifier.common.errors import UserError, short_message, short_repr
from classifier.images.schema import FOLDER, DatasetSplit
from classifier.sources.files import SourceFiles, is_picture, read_lines
from classifier.sources.listing import command

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".txt")
PATH_NAMES = (
    *("path", "file_name", "filename", "file", "filepath", "filepaths", "file_path", "image", "image_path", "image_id"),
    *("image_name", "img", "img_path", "id"),
)
LABEL_NAMES = ("label", "labels", "class", "category", "target", "breed", "class_name", "class_id", "classid", "label_name")
SPLIT_COLUMNS = ("split", "subset", "set", "data_set", "dataset", "partition", "usage")
ONE_HOT = "_classes.csv"
"""Of Roboflow: a column for each class, with 1 in that of the picture."""
SAMPLE = 200
"""Rows by which it is found out what the paths are relative to."""
SPLIT_WORDS: dict[DatasetSplit, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "publictest"),
    "test": ("test", "testing", "eval", "evaluation", "privatetest"),
}


GENERIC = {"set", "data", "dataset", "image", "images", "img", "imgs", "picture", "pictures", "photos", "jpg", "png", "split"}
"""Words beside that of a split that tell nothing."""


def split_of_word(word: str) -> DatasetSplit | None:
    """The split that people call so, in small or capital letters."""
    return next((split for split, words in SPLIT_WORDS.items() if word.strip().lower() in words), None)


def split_in_words(name: str) -> tuple[DatasetSplit, tuple[str, ...]] | None:
    """Of a name such as seg_train or TrainingSet: the split, and the words that say something beside it."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    splits = [split for word in words if (split := split_of_word(word)) is not None]
    if len(splits) != 1:
        return None
    return splits[0], tuple(word for word in words if split_of_word(word) is None and word not in GENERIC)


NUMBERS_ONE = ("1", "1.0")
NUMBERS_ZERO = ("0", "0.0", "")
Rows = Callable[[], Iterator[tuple[int, list[str]]]]
"""The number of each line, and its cells."""


@dataclass(frozen=True)
class Columns:
    """Names of columns that a person gave; None has one found by its name."""

    path: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None

    @property
    def given(self) -> bool:
        return any((self.path, self.label, self.split, self.group))


@dataclass
class Labels:
    """What a table says of the pictures that it names: their `places` among the files' pictures, labels, splits and groups."""

    table: str
    path_column: str
    label_column: str
    split_column: str | None
    places: "array[int]" = field(default_factory=lambda: array("q"))
    label_of: "array[int]" = field(default_factory=lambda: array("i"))
    names: list[str] = field(default_factory=list)
    splits: list[DatasetSplit | None] = field(default_factory=list)
    """Empty without a column for them."""
    group_of: "array[int]" = field(default_factory=lambda: array("i"))
    """-1 where the cell is empty."""
    groups: list[str] = field(default_factory=list)
    num_unlabelled: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """A table that names pictures and their labels; `rows` gives the number of each line and its cells."""

    path: str
    header: list[str]
    has_header: bool
    rows: Rows
    path_at: int
    label_at: int | None
    """None for a column each class."""
    class_columns: list[int]
    """Empty where one column has the label."""
    way: "Way"

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


def open_table(files: SourceFiles, path: str, columns: Columns, within: str = "", *, must: bool) -> Table | None:
    """The table `path`, or None for a file that names no pictures or no labels. Names are looked up in `within` first.

    Raises UserError for a table with two readings, and where it `must` be one, for whatever is wrong with it.
    """
    try:
        table, labels = _recognised(files, path, columns, within, must)
    except (csv.Error, UserError) as error:
        if not must:
            return None
        if isinstance(error, UserError):
            raise
        raise UserError(f"{files.source / path}: not readable as CSV: {short_message(error)}") from None
    if table is not None and len(labels) > 1:
        raise UserError(
            f"{files.source / path}: two columns may be the label; say which: "
            + " or ".join(f"`{command(FOLDER, files.source, {'label_column': table.header[at]})}`" for at in labels[:3])
        )
    return table


def _recognised(files: SourceFiles, path: str, columns: Columns, within: str, must: bool) -> tuple[Table | None, list[int]]:
    """The table, and the columns that may be the label: none where each class has one."""
    found = _header(files, path, columns)
    header, has_header, rows = found or ([], True, lambda: iter(()))
    plain = [plain_name(one) for one in header]
    one_hot = path.lower().endswith(ONE_HOT) and columns.label is None
    paths = _wanted(header, plain, columns.path, PATH_NAMES)
    labels = [] if one_hot else _wanted(header, plain, columns.label, LABEL_NAMES)
    paths = [at for at in paths if at not in labels]
    class_columns: list[int] = []
    if one_hot and paths:
        class_columns = [at for at in range(len(header)) if at != paths[0]]
    elif paths and not labels and columns.label is None:
        class_columns = _one_hot_columns(header, plain, rows, paths, columns)
    if found is None or not paths or not (labels or class_columns):
        if must:
            first = next(read_lines(files, path), "").strip()
            known = " or ".join(f"`{command(FOLDER, files.source, one)}`" for one in find_columns(files, path)[:3])
            raise UserError(
                f"{files.source / path}: line 1: needs path,label, found {short_repr(first)}; or say which columns they are: "
                + (known or "`-S path_column=… -S label_column=…`")
            )
        return None, []
    folder = path.rpartition("/")[0]
    best = (0, paths[0], next(_ways(files, folder)))
    for at in paths:
        cells = [row[at] for _, row in islice(rows(), SAMPLE) if len(row) > at]
        for way in chain(_ways(files, within) if within not in ("", folder) else (), _ways(files, folder)):
            count = sum(way.place(cell) >= 0 for cell in cells)
            if count > best[0]:
                best = (count, at, way)
            if count == len(cells):
                break
    if not best[0] and not must:
        return None, []
    class_columns = [at for at in class_columns if at != best[1]]
    return Table(path, header, has_header, rows, best[1], labels[0] if labels else None, class_columns, best[2]), labels


def _one_hot_columns(
    header: Sequence[str], plain: Sequence[str], rows: Rows, paths: Sequence[int], columns: Columns
) -> list[int]:
    """The columns of the classes, where the first rows have a single 1 in them and else 0: all but those with another use."""
    used = {*paths, *_wanted(header, plain, columns.split, SPLIT_COLUMNS), *_wanted(header, plain, columns.group, ())}
    found = [at for at, name in enumerate(header) if at not in used and name]
    sample = [[row[at] for at in found] for _, row in islice(rows(), SAMPLE) if len(row) == len(header)]
    is_one_hot = all(
        sum(cell in NUMBERS_ONE for cell in row) == 1 and all(cell in NUMBERS_ONE + NUMBERS_ZERO for cell in row)
        for row in sample
    )
    return found if len(found) > 1 and sample and is_one_hot else []


def find_columns(files: SourceFiles, path: str) -> list[dict[str, object]]:
    """Params that may say the columns of a table that names pictures, where their names do not: one for each that may be the
    class. Empty for another table."""
    try:
        header, rows = _any_header(files, path)
    except (csv.Error, UserError):
        return []
    if not rows or any(len(row) != len(header) for row in rows):
        return []
    plain = [plain_name(name) for name in header]
    ways = list(_ways(files, path.rpartition("/")[0]))

    def names_pictures(at: int, share: float) -> bool:
        return sum(any(way.place(row[at]) != _NONE for way in ways) for row in rows) > share * len(rows)

    paths, given = [at for at in _wanted(header, plain, None, PATH_NAMES) if names_pictures(at, 0)], dict[str, object]()
    if not paths:
        paths = [at for at in range(len(header)) if len({row[at] for row in rows}) == len(rows) and names_pictures(at, 0.5)][:1]
        given = {"path_column": header[paths[0]]} if paths else {}
    labels = _wanted(header, plain, None, LABEL_NAMES) or [
        at for at in range(len(header)) if 1 < len({row[at] for row in rows}) <= max(2, len(rows) // 4)
    ]
    return [given | {"label_column": header[at]} for at in labels if paths and at not in paths and header[at]]


def _any_header(files: SourceFiles, path: str) -> tuple[list[str], list[list[str]]]:
    """Names of the columns whatever they are, and the first rows."""
    found = _header(files, path, Columns())
    if found is not None:
        return found[0], [row for _, row in islice(found[2](), SAMPLE)]
    first = next(read_lines(files, path), "")
    rows = [row for _, row in islice(_reader(files, path, max(",;\t", key=first.count))(0), SAMPLE + 1)]
    return (rows[0], rows[1:]) if rows else ([], [])


def read_labels(files: SourceFiles, table: Table, columns: Columns) -> Labels:
    """All that the table says. Raises UserError for ragged lines, empty cells, no such picture, one named twice."""
    where = files.source / table.path
    _check_no_column_twice(where, table, columns)
    split_at = _one(table, columns.split, SPLIT_COLUMNS)
    group_at = _one(table, columns.group, ())
    for name, at in ((columns.split, split_at), (columns.group, group_at)):
        if name is not None and at is None:
            raise UserError(f"{where}: needs the column {short_repr(name)}, found {short_repr(', '.join(table.header))}")
    label_name = "the columns of the classes" if table.label_at is None else table.header[table.label_at]
    found = Labels(table.path, table.header[table.path_at], label_name, None)
    names: dict[str, int] = {}
    groups: dict[str, int] = {}
    odd_splits: dict[str, None] = {}
    seen = bytearray(len(files.pictures))
    try:
        for number, row in table.rows():
            if len(row) != len(table.header) or not row[table.path_at]:
                raise UserError(f"{where}: line {number}: needs a path and a label, found {short_repr(','.join(row))}")
            split = None if split_at is None else split_of_word(row[split_at])
            if split_at is not None and split is None:
                odd_splits[row[split_at]] = None
            label = _one_hot(where, number, table, row) if table.label_at is None else row[table.label_at]
            if not label and split == "test":
                found.num_unlabelled += 1
                continue
            if not label:
                raise UserError(f"{where}: line {number}: needs a path and a label, found {short_repr(','.join(row))}")
            place = table.way.place(row[table.path_at])
            if place < 0:
                raise UserError(f"{where}: line {number}: {_not_found(files, table, row[table.path_at])}")
            if seen[place]:
                several = "; a line for each object is no class of the picture" if _has_boxes(table) else ""
                raise UserError(f"{where}: needs each picture once, found {short_repr(row[table.path_at])} again{several}")
            seen[place] = 1
            found.places.append(place)
            found.label_of.append(names.setdefault(label, len(names)))
            if split_at is not None:
                found.splits.append(split)
            if group_at is not None:
                group = row[group_at]
                found.group_of.append(groups.setdefault(group, len(groups)) if group else -1)
    except csv.Error as error:
        raise UserError(f"{where}: not readable as CSV: {short_message(error)}") from None
    found.names, found.groups = list(names), list(groups)
    if table.way.note:
        found.notes.append(f"{table.path}: {table.way.note}")
    if split_at is not None and odd_splits:
        text = f"the column {table.header[split_at]} has {', '.join(map(short_repr, islice(odd_splits, 3)))}"
        if columns.split is not None or any(found.splits):
            raise UserError(
                f"{where}: {text}; needs train, val or test in each line, or another name for a column of another meaning"
            )
        found.notes.append(f"{table.path}: {text}, which is no split; it is not looked at")
        found.splits = []
    elif split_at is not None:
        found.split_column = table.header[split_at]
    return found


def _header(files: SourceFiles, path: str, columns: Columns) -> tuple[list[str], bool, Rows] | None:
    """Names of the columns, whether they stand in the file, and the rows; None where no column is that of the paths."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".jsonl":
        keys, lines = _json_lines(files, path)
        return keys, True, lines
    first = next(read_lines(files, path), "")
    for delimiter in ("\t",) if suffix == ".tsv" else sorted(",;\t", key=first.count, reverse=True):
        if delimiter not in first:
            continue
        rows = _reader(files, path, delimiter)
        header = next(rows(0), (0, []))[1]
        plain = [plain_name(cell) for cell in header]
        if _wanted(header, plain, columns.path, PATH_NAMES):
            return header, True, partial(rows, 1)
        names = _numbered(path, len(header))
        if _fits(columns, names) and _is_headerless(files, path, header):
            return names, False, partial(rows, 0)
    if suffix in (".txt", ".csv") and not any(mark in first for mark in ",;\t"):
        for most in (1, -1):  # a path may have spaces in it
            cells = first.rstrip("\r\n").rsplit(None, most)
            names = _numbered(path, len(cells))
            if _fits(columns, names) and _is_headerless(files, path, cells):
                return names, False, partial(_listed, files, path, most)
    return None


def _numbered(path: str, number: int) -> list[str]:
    """Names for the columns of a table without a header: the second of several may be anything, but not in a known layout."""
    if number == 2 or path.lower().endswith("annotations.txt"):
        return ["path", "label", *(f"column {one}" for one in range(3, number + 1))]
    return ["path", *(f"column {one}" for one in range(2, number + 1))]


def _fits(columns: Columns, names: Sequence[str]) -> bool:
    """Whether the columns that a person gave are among `names`."""
    return all(one is None or one in names for one in (columns.path, columns.label, columns.split, columns.group))


def _reader(files: SourceFiles, path: str, delimiter: str) -> Callable[[int], Iterator[tuple[int, list[str]]]]:
    def rows(skipped: int) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(read_lines(files, path), strict=True, delimiter=delimiter, skipinitialspace=True)
        for row in islice(reader, skipped, None):
            if row:  # else an empty line
                yield reader.line_num, [cell.strip() for cell in row]

    return rows


def _listed(files: SourceFiles, path: str, most: int) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(files, path), start=1):
        if line.strip():
            yield number, line.rstrip("\r\n").rsplit(None, most)


def _json_lines(files: SourceFiles, path: str) -> tuple[list[str], Rows]:
    """Columns are the keys of the first line."""

    def parsed(number: int, line: str) -> dict[str, object]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UserError(f"{files.source / path}: line {number}: needs an object of JSON, found {short_repr(line.strip())}")
        return value

    header = [*parsed(1, next(read_lines(files, path), ""))]

    def rows() -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(read_lines(files, path), start=1):
            if line.strip():
                value = parsed(number, line)
                yield number, [_text(value.get(key)) for key in header]

    return header, rows


def _text(value: object) -> str:
    """A cell of JSON, true and false as it writes them: what is a list, an object or null is no path and no label."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _is_headerless(files: SourceFiles, path: str, cells: Sequence[str]) -> bool:
    """Whether the first line is a path and a label already, or begins so, as in Tiny ImageNet's val_annotations.txt."""
    return len(cells) > 1 and any(way.place(cells[0]) >= 0 for way in _ways(files, path.rpartition("/")[0]) if not way.note)


def _wanted(header: Sequence[str], plain: Sequence[str], given: str | None, known: Iterable[str]) -> list[int]:
    """Places of the column that was given, or of all with a known name, in the order of `known`."""
    if given is not None:
        return [at for at, name in enumerate(header) if name == given] or [
            at for at, name in enumerate(plain) if name == plain_name(given)
        ]
    return [plain.index(name) for name in known if name in plain]


def _one(table: Table, given: str | None, known: Iterable[str]) -> int | None:
    return next(iter(_wanted(table.header, [plain_name(name) for name in table.header], given, known)), None)


def plain_name(name: str) -> str:
    """Of a column, in small letters with underscores."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _check_no_column_twice(where: object, table: Table, columns: Columns) -> None:
    """Raise UserError where a column that is used has a name that another one has too."""
    if not table.has_header:
        return
    plain = [plain_name(name) for name in table.header]
    used = [table.path_at, table.label_at, _one(table, columns.split, SPLIT_COLUMNS), _one(table, columns.group, ())]
    twice = next((table.header[at] for at in used if at is not None and plain.count(plain[at]) > 1), None)
    if twice is not None:
        raise UserError(f"{where}: line 1: needs names of columns that differ, found {short_repr(twice)} twice; rename one")


def _has_boxes(table: Table) -> bool:
    return any(plain_name(name) in ("xmin", "x_min", "bbox", "x1", "objects") for name in table.header)


def _one_hot(where: object, number: int, table: Table, row: list[str]) -> str:
    classes = [table.header[at] for at in table.class_columns if row[at] not in NUMBERS_ZERO]
    if len(classes) != 1:
        raise UserError(
            f"{where}: line {number}: needs one class of the picture, found "
            + (f"{len(classes)}: {', '.join(map(short_repr, classes[:3]))}" if classes else "none")
            + "; take such lines out: several labels of a picture are not supported"
        )
    return classes[0]


_NONE, _SEVERAL = -1, -2


@dataclass(frozen=True)
class Way:
    """How the cells of a table name pictures: `place` finds one. `note` is said where that is not quite the cell."""

    place: Callable[[str], int]
    note: str = ""


def _ways(files: SourceFiles, folder: str) -> Iterator[Way]:
    """By the path from the table, from the source, without the suffix, by the name alone; with another suffix, by number."""
    prefixes = [f"{folder}/", ""] if folder else [""]
    for prefix in prefixes:
        yield Way(partial(_by_path, files.place, prefix))
    without_suffix = _places(files, folder, _without_suffix)
    for prefix in prefixes:
        yield Way(partial(_by_path, lambda path: without_suffix.get(path, _NONE), prefix))
    by_name = _places(files, folder, _name)
    yield Way(lambda cell: _NONE if ".." in cell else by_name.get(_name(_slashes(cell)), _NONE))
    by_stem = _places(files, folder, lambda path: _without_suffix(_name(path)))
    yield Way(lambda cell: _NONE if ".." in cell else by_stem.get(_name(_slashes(cell)), _NONE))
    other = "the pictures have another suffix than stands there; they are taken by the rest of their names"
    for prefix in prefixes:
        yield Way(partial(_by_path, lambda path: without_suffix.get(_without_picture_suffix(path), _NONE), prefix), other)
    yield Way(lambda cell: _NONE if ".." in cell else by_stem.get(_without_picture_suffix(_name(_slashes(cell))), _NONE), other)
    by_number = _places(files, folder, lambda path: _number(_without_suffix(_name(path))))
    yield Way(
        lambda cell: by_number.get(_number(cell), _NONE) if cell.isdecimal() else _NONE,
        "the numbers are taken for names of pictures with zeros before them, as 7 for 007.png",
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _without_suffix(path: str) -> str:
    return path.rpartition(".")[0]


def _without_picture_suffix(path: str) -> str:
    return _without_suffix(path) if is_picture(path) else path


def _number(stem: str) -> str:
    return stem.lstrip("0") or "0" if stem.isdecimal() else stem


def _not_found(files: SourceFiles, table: Table, cell: str) -> str:
    """Why the picture of a line is not known, of how many lines this is so, and what to do."""
    num_lines, num_lost = 0, 0
    for _, row in table.rows():
        num_lines += 1
        num_lost += len(row) > table.path_at and table.way.place(row[table.path_at]) < 0
    lines = f"; so it is in {num_lost} of {num_lines} lines" if num_lost > 1 else ""
    name = _name(_slashes(cell))
    same = [path for path in files.pictures if name in (_name(path), _without_suffix(_name(path)))]
    if len(same) > 1:
        two = " and ".join(map(short_repr, same[:2]))
        return f"two pictures of this name: {short_repr(cell)} may be {two}{lines}; write the path, or take the others out"
    return f"no such file below this folder: {short_repr(cell)}{lines}; add the pictures, or remove those lines"


def _by_path(find: Callable[[str], int], prefix: str, cell: str) -> int:
    return find(prefix + _slashes(cell))


def _slashes(cell: str) -> str:
    return cell.replace("\\", "/").removeprefix("./")


def _places(files: SourceFiles, folder: str, key: Callable[[str], str]) -> dict[str, int]:
    """The place of each picture below `folder`, or of all if none is, by its key; _SEVERAL where two have the same."""
    found: dict[str, int] = {}
    for place, path in enumerate(files.pictures):
        if not folder or path.startswith(f"{folder}/"):
            name = key(path)
            found[name] = _SEVERAL if name in found else place
    return found or (_places(files, "", key) if folder else {})
