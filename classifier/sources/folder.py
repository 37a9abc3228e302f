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
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from classifier.common.errors import UserError, short_repr
from classifier.images.picture_pack import SUFFIXES
from classifier.images.schema import FOLDER, DatasetSplit
from classifier.sources.checks import (
    check_classes_to_train_on,
    check_masks,
    check_names,
    check_pointers,
    say_odd_classes,
    say_twins,
)
from classifier.sources.files import PARQUET, SourceFiles, open_source, read_lines
from classifier.sources.groups import set_groups
from classifier.sources.hints import (
    WITH_COLUMNS,
    archives_hint,
    by_suffix,
    columns_hint,
    folder_hint,
    formats_hint,
    tables_hint,
)
from classifier.sources.label_tables import LABELS_FILE, NAMES_FILES, find_label_tables, names_in
from classifier.sources.labels import Columns, Labels, Table, read_labels, split_of_word
from classifier.sources.listing import LAST, ClassDepth, Listing, Picture, command, shown
from classifier.sources.parquet_file import ParquetFiles, parquet_names
from classifier.sources.tree import (
    NAME_AND_NUMBER,
    SPLITS,
    Tree,
    is_split_inside,
    names_at,
    names_say_classes,
    normal,
    split_folders,
    unwrapped,
    unwrapped_folder,
)

__all__ = ["Listing", "Picture", "list_pictures"]

NUMBERED = re.compile(r"(.*?[A-Za-z].*?)[ ._-]*[0-9]+")
"""Of folders that differ in their number alone: parts of one set, where a table names the pictures."""
MAX_STRAYS = 0.01
"""Share of pictures beside the folders of the classes that are left out, as those of a page that lies there."""


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
        return self._finish(Tree(files), {}, by_table=True)

    def listing(self) -> Listing:
        if isinstance(self.files, ParquetFiles):
            return self._take_parquet(self.files)
        if self.files.hidden:
            self.notes.append(f"passed over, as the names begin with a dot: {shown(self.files.hidden)}")
        whole = Tree(self.files)
        root = unwrapped(whole)
        splits = split_folders(root)
        self.in_splits = bool(splits)
        if self.class_depth is not None and not splits:
            root = whole
        self._say_unwrapped(whole, root)
        tables: list[tuple[Table, DatasetSplit | None]] = []
        if self.class_depth is None:
            tables, notes = find_label_tables(root, splits, self.columns)
            self.notes += notes
        for table, split in tables:
            self._take_table(table, split, root, splits)
        if tables and 1 in self.split_of:
            table = tables[0][0]
            self._take_rest(root, splits, table.path, "label" if table.label_at is None else table.header[table.label_at])
        elif tables and not splits:
            self._raise_no_train(tables[0][0])
        elif splits:
            self._take_splits(root, splits)
        elif is_split_inside(root):
            self._take_classes_with_splits(root)
        else:
            self._classify(root, "train", self.class_depth)
            self._note_others(root.others)
        self._check_other_classes(splits)
        self._join_val(splits)
        self._rename(root)
        return self._finish(root, splits, by_table=bool(tables))

    # --- tables ---

    def _take_table(self, table: Table, split: DatasetSplit | None, root: Tree, splits: dict[DatasetSplit, str]) -> None:
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

    def _take_rest(self, root: Tree, splits: dict[DatasetSplit, str], table: str, label_column: str) -> None:
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

    def _folders_give_classes(self, root: Tree, splits: dict[DatasetSplit, str]) -> bool:
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

    def _take_splits(self, root: Tree, splits: dict[DatasetSplit, str]) -> None:
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

    def _take_later_split(self, tree: Tree, split: DatasetSplit, name: str) -> None:
        """Validation or test, whose classes must be those of train; left out where it has none."""
        if not tree.places:  # or another split would silently stand in for it
            raise UserError(
                f"{self.source}: no picture in the folder {short_repr(name)}: add some or remove it{formats_hint(tree)}"
            )
        known = self._classes_of(1)
        inner = tree
        while (
            self.class_depth is None and len(inner.folders) == 1 and not inner.strays and normal(inner.folders[0]) not in known
        ):
            inner = inner.below(inner.folders[0])
        if inner.folders:
            self._classify(inner, split, self.class_depth)
        else:
            names = {path: NAME_AND_NUMBER.fullmatch(PurePosixPath(path).stem) for path in inner.strays}
            found = {normal(match[1]) for match in names.values() if match}
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

    def _take_classes_with_splits(self, root: Tree) -> None:
        self.layouts.append("folders of classes, in them folders of splits")
        for name in root.folders:
            self.expected.add(normal(name))
            for inner in root.below(name).folders:
                split = split_of_word(inner)
                assert split is not None
                for place in root.below(name).below(inner).places:
                    self._add(place, split, normal(name))
        self._note_others(root.others)

    def _classify(self, tree: Tree, split: DatasetSplit, depth: ClassDepth) -> None:
        """Take the pictures of `tree` by the folder they lie in, or where there are no folders, by their name."""
        outer = tree
        if depth is None:
            while len(tree.folders) == 1 and not tree.strays:
                inner = tree.below(tree.folders[0])
                if not inner.folders and not names_say_classes(inner):
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
            self._check_names_of_splits(tree, split)
            return
        if len(tree.strays) > MAX_STRAYS * len(tree.places):
            raise UserError(
                f"{self.source}: {short_repr(tree.strays[0])} lies beside the folders of the classes, so it has none "
                f"({len(tree.strays)} such); move it into one{archives_hint(tree)}{folder_hint(tree)}{tables_hint(self.files)}"
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
        name_of = names_at(tree, depth)
        if depth == 1:
            self.expected |= {normal(name) for name in tree.folders}
        for place in tree.places:
            parts = tree.parts(place)
            if len(parts) == 1:
                continue
            if depth != LAST and len(parts) <= depth:
                raise UserError(
                    f"{self.source}: {short_repr(self.files.pictures[place])} lies above the folders of the classes; "
                    f"class_depth {depth} needs each picture {depth} folders deep"
                )
            self._add(place, split, normal(name_of(parts)))

    def _check_names_of_splits(self, tree: Tree, split: DatasetSplit) -> None:
        """Raise UserError where files are called Train_1.jpg and Test_1.jpg: the classes stand elsewhere."""
        found = sorted(self._classes_of(SPLITS.index(split) + 1))
        if found and all(split_of_word(name) for name in found):
            raise UserError(
                f"{self.source}: the names of the pictures in {short_repr(tree.prefix.rstrip('/') or '.')} say splits "
                f"({shown(found)}) and no classes; needs folders named for the classes, or a file {LABELS_FILE} with "
                f"`path,label,split`{tables_hint(self.files)}"
            )

    def _check_depth(self, tree: Tree, base: str) -> None:
        """Raise UserError where folders of folders may be the classes; say where each class has a folder more."""
        inner = {name: unwrapped_folder(tree.below(name)) for name in tree.folders}
        filled = {name: one for name, one in inner.items() if one.places}
        if not filled:
            return
        upper = tree.prefix.count("/") - base.count("/") + 1
        check_masks(tree, upper)
        stems = {match[1] if (match := NUMBERED.fullmatch(name)) else name for name in tree.folders}
        if len(tree.folders) > 1 and len(stems) == 1 and (found := columns_hint(self.files)):
            raise UserError(
                f"{self.source}: the classes may be {shown(tree.folders)}, or stand in {found[0]}; say which: "
                f"`{command(FOLDER, self.source, {'class_depth': upper})}` or {found[1]}"
            )
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
                f"with `path,label`, or names such as cat.0001.jpg{tables_hint(self.files)}"
            )
        return normal(found[1])

    # --- both ---

    def _either(self, one: dict[str, object], other: dict[str, object]) -> str:
        """Both commands, for a source with two readings."""
        return f"`{command(FOLDER, self.source, one)}` or `{command(FOLDER, self.source, other)}`"

    def _number(self, name: str) -> int:
        name = normal(name)
        return self.class_numbers.setdefault(name, len(self.class_numbers))

    def _add(self, place: int, split: DatasetSplit, name: str) -> None:
        self.class_of[place] = self._number(name)
        self.split_of[place] = SPLITS.index(split) + 1

    def _say_unwrapped(self, outer: Tree, inner: Tree) -> None:
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
            kinds = f" ({by_suffix(others)})" if len(others) > 3 else ""
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

    def _rename(self, root: Tree) -> None:
        """Names of classes by classes.txt or words.txt, where one of them has all."""
        for path in (f"{root.prefix}{name}" for name in NAMES_FILES):
            if path not in self.files.others:
                continue
            names = names_in(read_lines(self.files, path), self.class_numbers)
            if names:
                self.notes.append(f"{path} gives the classes their names")
                times = Counter(names.values())
                of = {key: name if times[name] == 1 else f"{name} ({key})" for key, name in names.items()}
                self.class_numbers = {of[name]: number for name, number in self.class_numbers.items()}
                self.expected = {of.get(name, name) for name in self.expected}
                return

    def _finish(self, root: Tree, splits: dict[DatasetSplit, str], *, by_table: bool) -> Listing:
        listing = Listing(self.files, "; ".join(dict.fromkeys(self.layouts)), self.notes, class_names=list(self.class_numbers))
        for place, split in enumerate(self.split_of):
            if split:
                listing.places.append(place)
                listing.class_of.append(self.class_of[place])
                listing.is_test.append(split == 3)
        self._check_bad_classes(root, splits, listing, by_table)
        check_pointers(listing)
        set_groups(listing, None if self.group_of is None else (self.group_of, list(self.group_numbers)), self.group_pattern)
        return listing

    def _check_bad_classes(self, root: Tree, splits: dict[DatasetSplit, str], listing: Listing, by_table: bool) -> None:
        check_names(listing)
        classes = listing.classes
        empty = sorted(self.expected - set(classes))
        if empty and not by_table:
            where = next((one for one in map(root.below, [*splits.values(), *root.folders]) if empty[0] in one.folders), root)
            raise UserError(
                f"{self.source}: no picture of the class {short_repr(empty[0])}: add some or remove its folder"
                f"{formats_hint(where.below(empty[0]))}{folder_hint(root)}{tables_hint(self.files)}"
            )
        if len(classes) < 2:
            suffixes = ", ".join(sorted(SUFFIXES))
            found = f"only {short_repr(classes[0])}" if classes else f"none: no {suffixes} in it{formats_hint(root)}"
            inner = f"; is it {self.source / root.folders[0]}?" if len(root.folders) == 1 else ""
            beside = tables_hint(self.files) if classes and not by_table else ""
            raise UserError(f"{self.source}: needs pictures of two classes or more, found {found}{beside or inner}")
        check_classes_to_train_on(listing)
        say_twins(listing)
        say_odd_classes(listing)
