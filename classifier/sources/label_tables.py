"""Which of the tables beside pictures say the classes, and lists that give the classes their names."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from classifier.common.errors import UserError
from classifier.images.schema import DatasetSplit
from classifier.sources.files import read_lines
from classifier.sources.labels import TABLE_SUFFIXES, Columns, Table, open_table
from classifier.sources.listing import shown
from classifier.sources.tree import Tree, normal, split_of_table

LABELS_FILE = "labels.csv"
NAMES_FILES = ("classes.txt", "words.txt")
"""Lines `folder name`, or of classes.txt a name a line, in the order of the classes' numbers."""
MAX_TABLES = 20
"""In one folder: more are no tables of the whole, but notes of single pictures."""


def find_label_tables(
    root: Tree, splits: dict[DatasetSplit, str], columns: Columns
) -> tuple[list[tuple[Table, DatasetSplit | None]], list[str]]:
    """The tables to read, each with the split that its name or its folder says; and what is to be said of others.

    Raises UserError where there is none with the `columns` that were given, or where two could be meant.
    """
    files = root.files
    opened: list[tuple[Table, DatasetSplit | None]] = []
    own = next((path for path in (f"{root.prefix}{LABELS_FILE}", LABELS_FILE) if path in files.others), None)
    for path in _candidates(root, splits):
        split = split_of_table(path, root, splits)
        within = f"{root.prefix}{splits[split]}" if split in splits else ""
        if (table := open_table(files, path, columns, within, must=path == own)) is not None:
            opened.append((table, split))
    if not opened and columns.given:
        for path in _candidates(root, splits):
            deque(read_lines(files, path), maxlen=0)  # raises UserError for what is not UTF-8
        given = ", ".join(filter(None, (columns.path, columns.label, columns.split, columns.group)))
        raise UserError(
            f"{files.source}: needs a table beside the pictures with the column {given}, paths and labels; found "
            f"{shown([path for path in files.others if path.lower().endswith(TABLE_SUFFIXES)]) or 'no table'}"
        )
    chosen = [one for one in opened if one[0].path == own] or _chosen(files.source, opened)
    unused = [table.path for table, _ in opened if all(table is not one for one, _ in chosen)]
    return chosen, [f"not looked at, as {chosen[0][0].path} says the classes: {shown(unused)}"] if unused else []


def _candidates(root: Tree, splits: dict[DatasetSplit, str]) -> Iterator[str]:
    """Tables that may be of the whole or of a split, and not of one class, in the order of their paths."""
    by_folder: dict[str, list[str]] = {}
    for path in root.files.others:
        name = path.rpartition("/")[2].lower()
        if name.endswith(TABLE_SUFFIXES) and "submission" not in name and name not in NAMES_FILES:
            by_folder.setdefault(path.rpartition("/")[0], []).append(path)
    split_folders = [root.prefix + name for name in splits.values()]
    for folder, paths in by_folder.items():
        tree = Tree(root.files, f"{folder}/" if folder else "")
        is_wrapped = folder.rpartition("/")[0] in split_folders and len(Tree(root.files, f"{folder}/").strays) > 0
        above = not folder or root.prefix.startswith(f"{folder}/")
        if (above or not tree.places or folder in split_folders or is_wrapped) and len(paths) <= MAX_TABLES:
            yield from paths


def _chosen(source: Path, opened: list[tuple[Table, DatasetSplit | None]]) -> list[tuple[Table, DatasetSplit | None]]:
    """Raises UserError for two tables of the same pictures."""
    by_split: dict[DatasetSplit | None, list[Table]] = {}
    for table, split in opened:
        by_split.setdefault(split, []).append(table)
    if "train" in by_split:
        by_split.pop(None, None)
    for tables in by_split.values():
        if len(tables) > 1:
            raise UserError(
                f"{source}: two tables name pictures and labels: {shown([table.path for table in tables])}; keep one, "
                f"or call the right one {LABELS_FILE}"
            )
    return [(tables[0], split) for split, tables in by_split.items()]


def names_in(lines: Iterable[str], classes: Iterable[str]) -> dict[str, str]:
    """The name of each of `classes`; empty where the lines do not have all. Of several names in a line the first."""
    wanted = set(classes)
    plain = [line.strip() for line in lines if line.strip()]
    pairs = [line.split("\t", 1) if "\t" in line else line.split(None, 1) for line in plain]
    found = {pair[0]: normal(pair[1].split(",")[0].strip()) for pair in pairs if len(pair) == 2 and pair[0] in wanted}
    if len(found) < len(wanted) and all(name.isdecimal() and int(name) < len(plain) for name in wanted):
        found = {name: normal(plain[int(name)]) for name in wanted}
    return found if len(found) == len(wanted) and all(found.values()) else {}
