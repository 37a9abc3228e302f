"""Finds the pictures of a person's folder or archive, their split and their class.

The layouts, of which the first that fits is taken:

    *.parquet                        pictures in tables: see classifier/sources/parquet_file.py
    labels.csv, metadata.csv, …      a table of paths and labels beside the pictures: see classifier/sources/labels.py
    train/CLASS/*.jpg, test/CLASS/…  a folder a split; `val` stands in for a missing `test`, and otherwise joins `train`
    CLASS/train/*.jpg, CLASS/test/…  the same the other way round
    CLASS/*.jpg                      a folder a class
    cat.0001.jpg                     the class stands in the file's name, before the number

Within a split the class may stand in a table or in the file's name too. One folder that holds all is looked into. What has two
readings is refused, with the params that say which is meant. Hidden files are passed over.
"""

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Literal

from classifier.common.errors import UserError, short_repr
from classifier.common.text import is_printable
from classifier.images.picture_pack import SUFFIXES
from classifier.images.schema import FOLDER, LONGEST_NAME, DatasetSplit
from classifier.sources.files import ARCHIVE_SUFFIXES, LFS_POINTER, PARQUET, SourceFiles, is_picture, open_source, read_lines
from classifier.sources.labels import (
    TABLE_SUFFIXES,
    Columns,
    Labels,
    Table,
    find_label_columns,
    open_table,
    read_labels,
    split_in_words,
    split_of_word,
)
from classifier.sources.listing import LAST, ClassDepth, Listing, Picture, command, shown
from classifier.sources.params import PIXEL_TABLES
from classifier.sources.parquet_file import ParquetFiles, parquet_names

__all__ = ["Listing", "Picture", "list_pictures"]

LABELS_FILE = "labels.csv"
NAMES_FILES = ("classes.txt", "words.txt")
"""Lines `folder name`, or of classes.txt a name a line, in the order of the classes' numbers."""
SPLITS: tuple[DatasetSplit, ...] = ("train", "val", "test")
WITH_COLUMNS = (".csv", ".tsv", ".jsonl")
OTHER_TABLES = (".xlsx", ".xls", ".ods", ".json", ".parquet", ".xml")
NAME_AND_NUMBER = re.compile(r"(.+?)[._ -]+[0-9]+")
TRACK = re.compile(r"(?:.*/)?[^/]*?[0-9]+[_-][0-9]+\.[^./]+")
TRACK_PATTERN = "(.*)[_-][0-9]+[.]"
COPY_PATTERN = re.compile(r"(?:.*/)?([^/]+)[._](?:jpe?g|png|bmp|webp|tiff?)\.rf\.[0-9A-Za-z]{16,}\.[^./]+", re.IGNORECASE)
"""A copy that Roboflow made, turned or darker, of a picture."""
MAX_STRAYS = 0.01
"""Share of pictures beside the folders of the classes that are left out, as those of a page that lies there."""
TWINS = 0.1
"""Share of the pictures at which two of a name are no chance."""
MAX_TABLES = 20
"""In one folder: more are no tables of the whole, but notes of single pictures."""


def list_pictures(
    source: Path,
    columns: Columns | None = None,
    class_depth: ClassDepth = None,
    group_pattern: str | None = None,
    archive: SourceFiles | None = None,
) -> Listing:
    """Find the pictures of `source`. Raises UserError where a layout does not say clearly what belongs to which class.

    `archive` is that of `source`, if it is open already.
    """
    return _Reader(source, columns or Columns(), class_depth, group_pattern, archive).listing()


@dataclass(frozen=True)
class _Tree:
    """What lies below the folder `prefix`, which ends in a slash or is empty."""

    files: SourceFiles
    prefix: str = ""

    @cached_property
    def folders(self) -> list[str]:
        """Names of the folders directly in it."""
        cut = len(self.prefix)
        return [path[cut:] for path in _inside(self.files.folders, self.prefix) if "/" not in path[cut:]]

    @cached_property
    def places(self) -> range:
        """Of the pictures below."""
        return range(*_bounds(self.files.pictures, self.prefix))

    @cached_property
    def strays(self) -> list[str]:
        """Paths of the pictures directly in it."""
        cut = len(self.prefix)
        return [path for path in map(self.files.pictures.__getitem__, self.places) if "/" not in path[cut:]]

    @property
    def others(self) -> list[str]:
        return _inside(self.files.others, self.prefix)

    @property
    def tables(self) -> list[str]:
        cut = len(self.prefix)
        return [path for path in self.others if "/" not in path[cut:] and path.lower().endswith(TABLE_SUFFIXES)]

    def below(self, name: str) -> "_Tree":
        return _Tree(self.files, f"{self.prefix}{name}/")

    def parts(self, place: int) -> list[str]:
        """Of a picture's path from here."""
        return self.files.pictures[place][len(self.prefix) :].split("/")


def _bounds(paths: list[str], prefix: str) -> tuple[int, int]:
    """First and after the last of the sorted `paths` that begin with `prefix`; `0` is the character behind the slash."""
    return (bisect_left(paths, prefix), bisect_left(paths, f"{prefix[:-1]}0")) if prefix else (0, len(paths))


def _inside(paths: list[str], prefix: str) -> list[str]:
    return paths[slice(*_bounds(paths, prefix))]


@dataclass
class _Reader:
    """Collects split and class of each picture by its place among the files."""

    source: Path
    columns: Columns
    class_depth: ClassDepth
    group_pattern: str | None
    archive: SourceFiles | None
    notes: list[str] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files = self._opened()
        num_pictures = len(self.files.pictures)
        self.class_of = array("i", [-1]) * num_pictures
        self.split_of = bytearray(num_pictures)
        """1 more than the place in SPLITS; 0 for what is left out."""
        self.is_named = bytearray(num_pictures)
        """Whether a table of one split names it."""
        self.class_numbers: dict[str, int] = {}
        self.group_of = array("i", [-1]) * num_pictures if self.columns.group else None
        self.group_numbers: dict[str, int] = {}
        self.expected: set[str] = set()
        """Classes that have a folder."""
        self.used: set[str] = set()
        """Tables that were read."""
        self.unlabelled: list[str] = []
        self.in_splits = False

    def _opened(self) -> SourceFiles:
        if self.source.is_file() and self.source.name.lower().endswith(PARQUET):
            names = [""]
        else:
            files = self.archive or open_source(self.source)
            names = parquet_names(files)
            if not names:
                return files
            if not self.source.is_dir():
                raise UserError(f"{self.source}: .parquet files are not read out of an archive; unpack it, and name the folder")
        if self.class_depth is not None:
            raise UserError(
                f"{self.source}: class_depth is about folders, and these are .parquet files; write `class_depth: null`"
            )
        return ParquetFiles(self.source, names, self.columns)

    def _take_parquet(self, files: ParquetFiles) -> Listing:
        self.notes += files.notes
        self.class_of, self.class_numbers = files.found.class_of, {}
        for name in files.class_numbers:
            self._number(name)
        self.split_of = bytearray(SPLITS.index(split) + 1 for split in files.found.splits)
        self.group_of, self.group_numbers = (files.found.group_of, files.group_numbers) if self.columns.group else (None, {})
        self.layouts.append(files.layout)
        self._check_other_classes({})
        self._join_val({})
        return self._finish(_Tree(files), {}, by_table=True)

    def listing(self) -> Listing:
        if isinstance(self.files, ParquetFiles):
            return self._take_parquet(self.files)
        if self.files.hidden:
            self.notes.append(f"passed over, as the names begin with a dot: {shown(self.files.hidden)}")
        whole = _Tree(self.files)
        root = _unwrapped(whole)
        splits = _split_folders(self.source, root)
        self.in_splits = bool(splits)
        if self.class_depth is not None and not splits:
            root = whole
        self._say_unwrapped(whole, root)
        tables = [] if self.class_depth is not None else self._tables(root, splits)
        for table, split in tables:
            self._take_table(table, split, root, splits)
        if tables and 1 in self.split_of:
            table = tables[0][0]
            self._take_rest(root, splits, table.path, "label" if table.label_at is None else table.header[table.label_at])
        elif tables and not splits:
            self._raise_no_train(tables[0][0])
        elif splits:
            self._take_splits(root, splits)
        elif _is_split_inside(root):
            self._take_classes_with_splits(root)
        else:
            self._classify(root, "train", self.class_depth)
            self._note_others(root.others)
        self._check_other_classes(splits)
        self._join_val(splits)
        self._rename(root)
        return self._finish(root, splits, by_table=bool(tables))

    # --- tables ---

    def _tables(self, root: _Tree, splits: dict[DatasetSplit, str]) -> list[tuple[Table, DatasetSplit | None]]:
        """The tables to read, each with the split that its name or its folder says."""
        opened: list[tuple[Table, DatasetSplit | None]] = []
        own = next((path for path in (f"{root.prefix}{LABELS_FILE}", LABELS_FILE) if path in self.files.others), None)
        for path in self._candidates(root, splits):
            if (table := open_table(self.files, path, self.columns, must=path == own)) is not None:
                opened.append((table, _split_of_table(path, root, splits)))
        if not opened and self.columns.given:
            for path in self._candidates(root, splits):
                deque(read_lines(self.files, path), maxlen=0)  # raises UserError for what is not UTF-8
            given = ", ".join(filter(None, (self.columns.path, self.columns.label, self.columns.split, self.columns.group)))
            raise UserError(
                f"{self.source}: needs a table beside the pictures with the column {given}, paths and labels; found "
                f"{shown([path for path in self.files.others if path.lower().endswith(TABLE_SUFFIXES)]) or 'no table'}"
            )
        chosen = [one for one in opened if one[0].path == own] or self._chosen(opened)
        unused = [table.path for table, _ in opened if all(table is not one for one, _ in chosen)]
        if unused:
            self.notes.append(f"not looked at, as {chosen[0][0].path} says the classes: {shown(unused)}")
        return chosen

    def _candidates(self, root: _Tree, splits: dict[DatasetSplit, str]) -> Iterator[str]:
        """Tables that may be of the whole or of a split, and not of one class, in the order of their paths."""
        by_folder: dict[str, list[str]] = {}
        for path in self.files.others:
            name = path.rpartition("/")[2].lower()
            if name.endswith(TABLE_SUFFIXES) and "submission" not in name and name not in NAMES_FILES:
                by_folder.setdefault(path.rpartition("/")[0], []).append(path)
        split_folders = [root.prefix + name for name in splits.values()]
        for folder, paths in by_folder.items():
            tree = _Tree(self.files, f"{folder}/" if folder else "")
            is_wrapped = folder.rpartition("/")[0] in split_folders and len(_Tree(self.files, f"{folder}/").strays) > 0
            above = not folder or root.prefix.startswith(f"{folder}/")
            if (above or not tree.places or folder in split_folders or is_wrapped) and len(paths) <= MAX_TABLES:
                yield from paths

    def _chosen(self, opened: list[tuple[Table, DatasetSplit | None]]) -> list[tuple[Table, DatasetSplit | None]]:
        """Raises UserError for two tables of the same pictures."""
        by_split: dict[DatasetSplit | None, list[Table]] = {}
        for table, split in opened:
            by_split.setdefault(split, []).append(table)
        if "train" in by_split:
            by_split.pop(None, None)
        for tables in by_split.values():
            if len(tables) > 1:
                raise UserError(
                    f"{self.source}: two tables name pictures and labels: {shown([table.path for table in tables])}; keep one, "
                    f"or call the right one {LABELS_FILE}"
                )
        return [(tables[0], split) for split, tables in by_split.items()]

    def _take_table(self, table: Table, split: DatasetSplit | None, root: _Tree, splits: dict[DatasetSplit, str]) -> None:
        labels = read_labels(self.files, table, self.columns)
        self.notes += labels.notes
        self.used.add(table.path)
        numbers = [self._number(name) for name in labels.names]
        folders = {name: SPLITS.index(one) + 1 for one, name in splits.items()}
        by_name = 0 if split in (None, "train") else SPLITS.index(split) + 1
        by_column = 0
        cut = len(root.prefix)
        for number, place in enumerate(labels.places):
            if split is not None and self.is_named[place]:
                raise UserError(
                    f"{self.source / table.path}: needs pictures that no table of another split names, found "
                    f"{short_repr(self.files.pictures[place])}; take it out of one"
                )
            self.is_named[place] = split is not None
            self.class_of[place] = numbers[labels.label_of[number]]
            top = self.files.pictures[place][cut:].partition("/")[0]
            given = labels.splits[number] if labels.splits else None
            by_column += given is not None
            self.split_of[place] = SPLITS.index(given) + 1 if given else by_name or folders.get(top, 1)
        self._take_groups(labels)
        columns = f"path is the column {labels.path_column}, label {labels.label_column}"
        parts = [columns if table.has_header else "lines of a path and a label"]
        parts += [f"split {labels.split_column}"] if labels.split_column else []
        parts += [f"group {self.columns.group}"] if self.columns.group else []
        self.layouts.append(f"the table {table.path} ({', '.join(parts)}; {len(labels.places)} pictures)")
        if labels.num_unlabelled:
            self.notes.append(f"{table.path}: {labels.num_unlabelled} test pictures without a label are left out")

    def _take_groups(self, labels: Labels) -> None:
        if self.group_of is not None:
            numbers = [self.group_numbers.setdefault(name, len(self.group_numbers)) for name in labels.groups]
            for place, group in zip(labels.places, labels.group_of, strict=True):
                self.group_of[place] = numbers[group] if group >= 0 else -1

    def _take_rest(self, root: _Tree, splits: dict[DatasetSplit, str], table: str, label_column: str) -> None:
        """What the tables do not name: a split that has none named by its folders, all else left out."""
        for split, name in splits.items():
            tree = root.below(name)
            if split != "train" and tree.places and not any(self.split_of[place] for place in tree.places):
                self._take_later_split(tree, split, name)
        unlabelled = tuple(f"{path}/" for path in self.unlabelled)
        missing = [
            path
            for place, path in enumerate(self.files.pictures)
            if not self.split_of[place] and not path.startswith(unlabelled)
        ]
        named = sum(map(bool, self.split_of))
        if len(missing) > named and self._folders_give_classes(root, splits):
            raise UserError(
                f"{self.source}: {table} names {named} of {named + len(missing)} pictures, which lie in folders of classes; "
                f"say which is meant: {self._either({'class_depth': 1}, {'label_column': label_column})}"
            )
        if missing:
            self.notes.append(f"left out, as {table} does not name them: {shown(missing)}")
        self._note_others(self.files.others)

    def _folders_give_classes(self, root: _Tree, splits: dict[DatasetSplit, str]) -> bool:
        tree = root.below(splits["train"]) if "train" in splits else root
        is_chosen = self.columns.given or f"{root.prefix}{LABELS_FILE}" in self.used
        return not is_chosen and len(tree.folders) > 1 and not tree.strays

    def _raise_no_train(self, table: Table) -> None:
        """Folders of classes in place of the table would make test pictures of it some to train on."""
        found = "some only to test on" if any(self.split_of) else "no line below the header"
        raise UserError(
            f"{self.source / table.path}: needs pictures to train on, found {found}; complete the table, or remove it to "
            "have the classes taken from the folders"
        )

    # --- folders ---

    def _take_splits(self, root: _Tree, splits: dict[DatasetSplit, str]) -> None:
        others = [name for name in root.folders if name not in splits.values() and root.below(name).places]
        if others or root.strays:
            left = [*others, *(path.rpartition("/")[2] for path in root.strays)]
            self.notes.append(f"left out, as they are in none of {shown(list(splits.values()))}: {shown(left)}")
        for split, name in splits.items():
            tree = root.below(name)
            if any(self.split_of[place] for place in tree.places):
                continue
            if split == "train":
                self._classify(tree, split, self.class_depth)
            else:
                self._take_later_split(tree, split, name)
            self._note_others([path for path in tree.others if path not in self.used])

    def _take_later_split(self, tree: _Tree, split: DatasetSplit, name: str) -> None:
        """Validation or test, whose classes must be those of train; left out where it has none."""
        if not tree.places:  # or another split would silently stand in for it
            raise UserError(
                f"{self.source}: no picture in the folder {short_repr(name)}: add some or remove it{self._formats(tree)}"
            )
        known = self._classes_of(1)
        inner = tree
        while (
            self.class_depth is None and len(inner.folders) == 1 and not inner.strays and _normal(inner.folders[0]) not in known
        ):
            inner = inner.below(inner.folders[0])
        if inner.folders:
            self._classify(inner, split, self.class_depth)
        else:
            names = {path: NAME_AND_NUMBER.fullmatch(PurePosixPath(path).stem) for path in inner.strays}
            found = {_normal(match[1]) for match in names.values() if match}
            if not found & known or None in names.values():
                self.unlabelled.append(inner.prefix.rstrip("/"))
                folder = short_repr(inner.prefix.rstrip("/"))
                self.notes.append(
                    f"left out, as the {len(inner.strays)} pictures of {folder} have no classes; `python -m tools.predict "
                    f"{self.source / inner.prefix}` classifies them"
                )
                return
            self._classify(inner, split, None)

    def _classes_of(self, split: int) -> set[str]:
        """Those of the pictures taken so far; `split` as in `split_of`."""
        numbers = {self.class_of[place] for place, one in enumerate(self.split_of) if one == split}
        return {name for name, number in self.class_numbers.items() if number in numbers}

    def _check_other_classes(self, splits: dict[DatasetSplit, str]) -> None:
        """Raise UserError where validation or test has no class of train."""
        train = self._classes_of(1)
        for split in ("val", "test") if train else ():
            found = self._classes_of(SPLITS.index(split) + 1)
            name = splits.get(split, split)
            if found and not found & train:
                raise UserError(
                    f"{self.source}: {name} has no class of train: it has {shown(sorted(found), 5)}, train has "
                    f"{shown(sorted(train), 5)}; call the same class the same"
                )
            if found - train:
                self.notes.append(f"classes of {name} that train has not: {shown(sorted(found - train))}")

    def _take_classes_with_splits(self, root: _Tree) -> None:
        self.layouts.append("folders of classes, in them folders of splits")
        for name in root.folders:
            self.expected.add(_normal(name))
            for inner in root.below(name).folders:
                split = split_of_word(inner)
                assert split is not None
                for place in root.below(name).below(inner).places:
                    self._add(place, split, _normal(name))
        self._note_others(root.others)

    def _classify(self, tree: _Tree, split: DatasetSplit, depth: ClassDepth) -> None:
        """Take the pictures of `tree` by the folder they lie in, or where there are no folders, by their name."""
        outer = tree
        if depth is None:
            while len(tree.folders) == 1 and not tree.strays:
                inner = tree.below(tree.folders[0])
                if not inner.folders and not _names_say_classes(inner):
                    break
                tree = inner
            self._say_unwrapped(outer, tree)
            self.layouts.append(
                ("folders of splits, in them " if self.in_splits else "")
                + ("folders of classes" if tree.folders else "pictures with the class in their names")
            )
        if not tree.folders and depth is None:
            for place in tree.places:
                self._add(place, split, self._class_in_name(self.files.pictures[place]))
            return
        if len(tree.strays) > MAX_STRAYS * len(tree.places):
            raise UserError(
                f"{self.source}: {short_repr(tree.strays[0])} lies beside the folders of the classes, so it has none "
                f"({len(tree.strays)} such); move it into one{self._archives(tree)}{self._inner(tree)}{self._beside()}"
            )
        if tree.strays:
            self.notes.append(f"left out, as they lie beside the folders of the classes: {shown(tree.strays)}")
        if depth is None:
            self._check_depth(tree, outer.prefix if self.in_splits else "")
            depth = 1
        elif depth == LAST:
            self.layouts.append("the folder that a picture lies in is its class")
        else:
            self.layouts.append(f"folders of classes, {depth} deep")
        name_of = _names_at(tree, depth)
        if depth == 1:
            self.expected |= {_normal(name) for name in tree.folders}
        for place in tree.places:
            parts = tree.parts(place)
            if len(parts) == 1:
                continue
            if depth != LAST and len(parts) <= depth:
                raise UserError(
                    f"{self.source}: {short_repr(self.files.pictures[place])} lies above the folders of the classes; "
                    f"class_depth {depth} needs each picture {depth} folders deep"
                )
            self._add(place, split, _normal(name_of(parts)))

    def _check_depth(self, tree: _Tree, base: str) -> None:
        """Raise UserError where folders of folders may be the classes; say where each class has a folder more."""
        inner = {name: _unwrapped_folder(tree.below(name)) for name in tree.folders}
        filled = {name: one for name, one in inner.items() if one.places}
        if not filled:
            return
        upper = tree.prefix.count("/") - base.count("/") + 1
        deeper = {
            name: one
            for name, one in filled.items()
            if not one.strays and sum(len(one.below(inner).places) > 0 for inner in one.folders) > 1
        }
        flat = [name for name in filled if tree.below(name).strays]
        if deeper and flat:
            name, one = next(iter(deeper.items()))
            raise UserError(
                f"{self.source}: the classes may be {shown([*filled])}, or the folders in {short_repr(name)}, "
                f"{shown(one.folders, 4)}; say which: `{command(FOLDER, self.source, {'class_depth': upper})}` or "
                f"`{command(FOLDER, self.source / tree.below(name).prefix, {})}`"
            )
        if deeper and len(filled) == 1:
            name = next(iter(deeper))
            raise UserError(
                f"{self.source}: needs folders of classes, found pictures only in {short_repr(name)}; is it "
                f"`{command(FOLDER, self.source / tree.below(name).prefix, {})}`?"
            )
        if flat:
            return
        if not deeper:
            first = next(iter(filled.values()))
            self.notes.append(
                f"the classes are the upper folders, as {short_repr(first.prefix.rstrip('/'))} is the only one there"
            )
            return
        lower = next(iter(deeper.values())).prefix.count("/") - base.count("/") + 1
        below = sorted({folder for one in deeper.values() for folder in one.folders})
        several = len(below) < sum(len(one.folders) for one in deeper.values())
        joined = f", or to join those of one name `{command(FOLDER, self.source, {'class_depth': LAST})}`" if several else ""
        raise UserError(
            f"{self.source}: the classes may be {shown(tree.folders)}, or the folders in them, {shown(below, 4)}; say which: "
            f"{self._either({'class_depth': upper}, {'class_depth': lower})}{joined}"
        )

    def _class_in_name(self, path: str) -> str:
        found = NAME_AND_NUMBER.fullmatch(PurePosixPath(path).stem)
        if not found:
            raise UserError(
                f"{self.source}: {short_repr(path)} has no class: needs folders named for the classes, a file {LABELS_FILE} "
                f"with `path,label`, or names such as cat.0001.jpg{self._beside()}"
            )
        return _normal(found[1])

    def _beside(self) -> str:
        """The tables in which nothing was recognised, and those of kinds that are not read."""
        tables, foreign = (
            [other for other in self.files.others if other.lower().endswith(ends)] for ends in (WITH_COLUMNS, OTHER_TABLES)
        )
        if tables:
            found = next(((one, names) for one in tables[:MAX_TABLES] if (names := find_label_columns(self.files, one))), None)
            likely = ""
            if found:
                commands = " or ".join(f"`{command(FOLDER, self.source, {'label_column': name})}`" for name in found[1][:3])
                likely = f": {found[0]} names pictures, whose class may be {commands}"
            return (
                f"; no columns of paths and labels were found in {shown(tables)}; `-S path_column=… -S label_column=…` say them"
                + likely
            )
        return f"; not read: {shown(foreign)}; save it as {LABELS_FILE} with `path,label`" if foreign else ""

    def _inner(self, tree: _Tree) -> str:
        """The folder below that looks like the data: of a project, whose other folders hold code and pages."""
        filled = {self.files.pictures[place].rpartition("/")[0] for place in tree.places}
        counts = Counter(folder.rpartition("/")[0] for folder in filled if "/" in folder[len(tree.prefix) :])
        found = {
            folder: count for folder, count in counts.items() if count > 1 and split_of_word(PurePosixPath(folder).name) is None
        }
        found |= {
            folder.rpartition("/")[0]: count
            for folder, count in counts.items()
            if count > 1 and split_of_word(PurePosixPath(folder).name) == "train"
        }
        best = max(found, key=lambda folder: found[folder], default=None)
        return f"; or is it `{command(FOLDER, self.source / best, {})}`?" if best and f"{best}/" != tree.prefix else ""

    def _say_twins(self, listing: Listing) -> None:
        """a.jpg beside a.png: one may be the mask of the other, which is no picture of the class."""
        paths = (self.files.pictures[place] for place in listing.places)
        twins = [
            (one, other)
            for one, other in pairwise(paths)
            if one.rpartition(".")[0] == other.rpartition(".")[0] and is_picture(one) and is_picture(other)
        ]
        if len(twins) >= TWINS * len(listing):
            one, other = twins[0]
            self.notes.append(
                f"{len(twins)} names occur with two suffixes, as {short_repr(one)} and {short_repr(other)}; if one is a mask "
                "or another form of the other, take those out"
            )

    # --- both ---

    def _either(self, one: dict[str, object], other: dict[str, object]) -> str:
        """Both commands, for a source with two readings."""
        return f"`{command(FOLDER, self.source, one)}` or `{command(FOLDER, self.source, other)}`"

    def _number(self, name: str) -> int:
        name = _normal(name)
        return self.class_numbers.setdefault(name, len(self.class_numbers))

    def _add(self, place: int, split: DatasetSplit, name: str) -> None:
        self.class_of[place] = self._number(name)
        self.split_of[place] = SPLITS.index(split) + 1

    def _say_unwrapped(self, outer: _Tree, inner: _Tree) -> None:
        if inner.prefix != outer.prefix:
            self.notes.append(f"the folder {short_repr(inner.prefix.rstrip('/'))} holds all, so it is looked into")

    def _note_others(self, paths: list[str]) -> None:
        """By suffix where there are many; tables and lists of names that were read are not among them."""
        others = [path for path in paths if path not in self.used and path.rpartition("/")[2].lower() not in NAMES_FILES]
        tables = [path for path in others if path.lower().endswith(WITH_COLUMNS)]
        if tables and not self.used and self.class_depth is None:
            others = [path for path in others if path not in tables]
            self.notes.append(
                f"left out, as no columns of paths and labels were found in {shown(tables)}; where they have the classes, say "
                "`-S path_column=… -S label_column=…`"
            )
        if others:
            kinds = f" ({_by_suffix(others)})" if len(others) > 3 else ""
            self.notes.append(f"left out, as their names are not those of pictures: {shown(others)}{kinds}")

    def _join_val(self, splits: dict[DatasetSplit, str]) -> None:
        """Without a test split that of validation is one; otherwise it joins train."""
        if 2 not in self.split_of:
            return
        train, val = splits.get("train", "train"), splits.get("val", "val")
        if 3 in self.split_of:
            self.notes.append(f"the pictures of {val} join those of {train}; val_fraction cuts validation")
            self.split_of = self.split_of.replace(b"\2", b"\1")
        else:
            what = "folder " if "val" in splits else ""
            why = f"{splits['test']} has no labels" if self.unlabelled and "test" in splits else f"there is no {what}test"
            self.notes.append(f"the {what or 'split '}{val} is the test split, as {why}")
            self.split_of = self.split_of.replace(b"\2", b"\3")

    def _rename(self, root: _Tree) -> None:
        """Names of classes by classes.txt or words.txt, where one of them has all."""
        for path in (f"{root.prefix}{name}" for name in NAMES_FILES):
            if path not in self.files.others:
                continue
            names = _names_in(read_lines(self.files, path), self.class_numbers)
            if names:
                self.notes.append(f"{path} gives the classes their names")
                times = Counter(names.values())
                of = {key: name if times[name] == 1 else f"{name} ({key})" for key, name in names.items()}
                self.class_numbers = {of[name]: number for name, number in self.class_numbers.items()}
                self.expected = {of.get(name, name) for name in self.expected}
                return

    def _finish(self, root: _Tree, splits: dict[DatasetSplit, str], *, by_table: bool) -> Listing:
        listing = Listing(self.files, "; ".join(dict.fromkeys(self.layouts)), self.notes, class_names=list(self.class_numbers))
        for place, split in enumerate(self.split_of):
            if split:
                listing.places.append(place)
                listing.class_of.append(self.class_of[place])
                listing.is_test.append(split == 3)
        self._check_bad_classes(root, splits, listing, by_table)
        self._check_pointers(listing)
        self._group(listing)
        return listing

    def _check_bad_classes(self, root: _Tree, splits: dict[DatasetSplit, str], listing: Listing, by_table: bool) -> None:
        classes = listing.classes
        for name in classes:
            if name != name.strip() or not is_printable(name) or len(name) > LONGEST_NAME:
                raise UserError(
                    f"{self.source}: the class name {short_repr(name)} must be printable and of at most {LONGEST_NAME} "
                    f"characters, without spaces at its ends; it has {len(name)}"
                )
        empty = sorted(self.expected - set(classes))
        if empty and not by_table:
            where = next((one for one in map(root.below, [*splits.values(), *root.folders]) if empty[0] in one.folders), root)
            raise UserError(
                f"{self.source}: no picture of the class {short_repr(empty[0])}: add some or remove its folder"
                f"{self._formats(where.below(empty[0]))}{self._inner(root)}{self._beside()}"
            )
        if len(classes) < 2:
            suffixes = ", ".join(sorted(SUFFIXES))
            found = f"only {short_repr(classes[0])}" if classes else f"none: no {suffixes} in it{self._formats(root)}"
            inner = f"; is it {self.source / root.folders[0]}?" if len(root.folders) == 1 else ""
            beside = self._beside() if classes and not by_table else ""
            raise UserError(f"{self.source}: needs pictures of two classes or more, found {found}{beside or inner}")
        self._say_twins(listing)
        if not any(not is_test for is_test in listing.is_test):
            raise UserError(f"{self.source}: needs pictures to train on, found some only to test on")

    def _formats(self, tree: _Tree) -> str:
        """What lies there instead of pictures, by suffix, and what to do with an archive."""
        if archives := self._archives(tree):
            return archives
        found = f"; found are {_by_suffix(tree.others)}; read are {', '.join(sorted(SUFFIXES))}" if tree.others else ""
        is_packed = not self.source.is_dir() and any(path.lower().endswith(PIXEL_TABLES) for path in tree.others)
        return found + "; of tables of pixels, say -S dataset=csv" * is_packed

    def _archives(self, tree: _Tree) -> str:
        archives = [path for path in tree.others if path.lower().endswith(ARCHIVE_SUFFIXES)]
        if archives and not self.source.is_dir():
            return f"; {shown(archives)}: unpack {self.source.name}, and name that"
        return f"; {shown(archives)}: unpack it, or name it, as `-S source={self.source / archives[0]}`" if archives else ""

    def _check_pointers(self, listing: Listing) -> None:
        """Raise UserError where the first pictures of the classes are pointers of Git LFS."""
        firsts: dict[int, int] = {}
        for number, name in enumerate(listing.class_of):
            firsts.setdefault(name, number)
            if len(firsts) == MAX_TABLES:
                break
        paths = [self.files.pictures[listing.places[number]] for number in firsts.values()]
        pointers = [path for path in paths if self.files.peek(path, len(LFS_POINTER)) == LFS_POINTER]
        if pointers:
            raise UserError(
                f"{self.source}: {short_repr(pointers[0])} is a pointer of Git LFS, not the picture; run `git lfs pull` in its "
                "repository"
            )

    # --- groups ---

    def _group(self, listing: Listing) -> None:
        """Give each picture its group, where there are any; a picture without one is a group of its own."""
        paths = [self.files.pictures[place] for place in listing.places]
        if self.group_of is not None:
            names = list(self.group_numbers)
            keys = [names[self.group_of[place]] if self.group_of[place] >= 0 else None for place in listing.places]
        elif self.group_pattern is not None:
            keys = list(_keys(re.compile(self.group_pattern).search, paths))
            if not any(keys):
                raise UserError(
                    f"{self.source}: group_pattern {short_repr(self.group_pattern)} is found in no path, such as "
                    f"{short_repr(paths[0])}"
                )
        else:
            copies = list(_keys(COPY_PATTERN.fullmatch, paths))
            num_copies = sum(key is not None for key in copies)
            if num_copies - len({*copies} - {None}) > 0 and 2 * num_copies >= len(paths):
                self.notes.append("copies that Roboflow made of one picture (NAME.rf.HASH) are one group")
                keys = copies
            else:
                self._say_tracks(paths)
                return
        numbers: dict[str, int] = {}
        group_of = array("i")
        for path, key in zip(paths, keys, strict=True):
            group_of.append(numbers.setdefault(path if key is None else key, len(numbers)))
        listing.group_of, listing.group_names = group_of, list(numbers)
        single = sum(key is None for key in keys)
        self.notes.append(
            f"{len(numbers)} groups, none of which is divided when a split is cut"
            + (f"; {single} pictures are each a group of their own" if single else "")
        )
        tests = {group for group, is_test in zip(group_of, listing.is_test, strict=True) if is_test}
        both = tests & {group for group, is_test in zip(group_of, listing.is_test, strict=True) if not is_test}
        if both:
            name = listing.group_names[min(both)]
            self.notes.append(f"{len(both)} groups have pictures to train on and to test on, such as {short_repr(name)}")

    def _say_tracks(self, paths: list[str]) -> None:
        """Names like 00012_00003 may be frames of one thing, which lie on both sides of a split then."""
        counts = Counter(path[: max(path.rfind("_"), path.rfind("-"))] for path in paths if TRACK.fullmatch(path))
        if sum(counts.values()) >= 0.9 * len(paths) and sum(counts.values()) >= 3 * len(counts) > 3:
            track, count = counts.most_common(1)[0]
            self.notes.append(
                f"the names look like {len(counts)} tracks or series, such as {short_repr(track)} with {count} pictures; if "
                f"so, `-S \"group_pattern='{TRACK_PATTERN}'\"` keeps each on one side of every split"
            )


def _keys(find: Callable[[str], re.Match[str] | None], paths: Iterable[str]) -> Iterator[str | None]:
    for path in paths:
        match = find(path)
        yield match[1] if match else None


def _unwrapped(tree: _Tree) -> _Tree:
    """The folder in which the layout begins: one folder that alone holds folders or a table is looked into."""
    while len(tree.folders) == 1 and not tree.strays and not tree.tables and split_of_word(tree.folders[0]) is None:
        inner = tree.below(tree.folders[0])
        if not inner.folders and not inner.tables:
            break
        tree = inner
    return tree


def _names_say_classes(tree: _Tree) -> bool:
    """Whether the names of the pictures directly in `tree` have a class each, and more than one."""
    found = [NAME_AND_NUMBER.fullmatch(PurePosixPath(path).stem) for path in tree.strays]
    return all(found) and len({match[1] for match in found if match}) > 1


def _unwrapped_folder(tree: _Tree) -> _Tree:
    while len(tree.folders) == 1 and not tree.strays:
        tree = tree.below(tree.folders[0])
    return tree


def _split_folders(source: Path, root: _Tree) -> dict[DatasetSplit, str]:
    """Split to the name of its folder; empty without a folder for training."""
    found: dict[DatasetSplit, str] = {}
    stems: dict[str, tuple[DatasetSplit, tuple[str, ...]]] = {}
    for name in root.folders:
        split = split_of_word(name)
        if split is not None and split in found:
            raise UserError(f"{source}: two folders for {split}: {short_repr(found[split])} and {short_repr(name)}; keep one")
        if split is not None:
            found[split] = name
        elif (parsed := split_in_words(name)) is not None:
            stems[name] = parsed
    stem: tuple[str, ...] = ()
    if "train" not in found:
        trains = [name for name, (split, _) in stems.items() if split == "train"]
        if len(trains) != 1:
            return {}
        stem = stems[trains[0]][1]
        if stem and not any(other == stem and split != "train" for split, other in stems.values()):
            return {}
    for name, (split, other) in stems.items():
        if other == stem and split not in found:
            found[split] = name
    train = root.below(found["train"])
    others = [name for name in root.folders if name not in found.values() and root.below(name).strays]
    if len(found) == 1 and others and train.strays and not train.folders:
        return {}  # a class of trains
    return {split: found[split] for split in SPLITS if split in found}


def _split_of_table(path: str, root: _Tree, splits: dict[DatasetSplit, str]) -> DatasetSplit | None:
    for split, name in splits.items():
        if path.startswith(f"{root.prefix}{name}/"):
            return split
    parsed = split_in_words(PurePosixPath(path).stem)
    return parsed[0] if parsed else None


def _is_split_inside(root: _Tree) -> bool:
    """CLASS/train, CLASS/test."""
    inner = [root.below(name) for name in root.folders]
    names = {folder for one in inner for folder in one.folders}
    return (
        len(inner) > 1
        and not root.strays
        and all(one.folders and not one.strays for one in inner)
        and all(split_of_word(name) for name in names)
        and any(split_of_word(name) == "train" for name in names)
    )


def _names_at(tree: _Tree, depth: int | Literal["last"]) -> Callable[[list[str]], str]:
    """The name of the class by the parts of a path: of the folder `depth` deep, with those above it where two are called so."""
    if depth == LAST:
        return lambda parts: parts[-2]
    cut = len(tree.prefix)
    folders = [path[cut:].split("/") for path in _inside(tree.files.folders, tree.prefix) if path[cut:].count("/") == depth - 1]
    if len({parts[-1] for parts in folders}) == len(folders):
        return lambda parts: parts[depth - 1]
    start = next(level for level in range(depth) if len({parts[level] for parts in folders}) > 1)
    return lambda parts: "/".join(parts[start:depth])


def _names_in(lines: Iterable[str], classes: Iterable[str]) -> dict[str, str]:
    """The name of each of `classes`; empty where the lines do not have all. Of several names in a line the first."""
    wanted = set(classes)
    plain = [line.strip() for line in lines if line.strip()]
    pairs = [line.split("\t", 1) if "\t" in line else line.split(None, 1) for line in plain]
    found = {pair[0]: _normal(pair[1].split(",")[0].strip()) for pair in pairs if len(pair) == 2 and pair[0] in wanted}
    if len(found) < len(wanted) and all(name.isdecimal() and int(name) < len(plain) for name in wanted):
        found = {name: _normal(plain[int(name)]) for name in wanted}
    return found if len(found) == len(wanted) and all(found.values()) else {}


def _by_suffix(paths: Iterable[str]) -> str:
    """`12 .heic, 3 .txt`."""
    counts = Counter(PurePosixPath(path).suffix.lower() or "without a suffix" for path in paths)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4))


def _normal(name: str) -> str:
    """A Mac writes é as two characters where other systems write one."""
    return unicodedata.normalize("NFC", name)
