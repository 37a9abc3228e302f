"""Finds the pictures in a person's folder, their split and their class.

The layouts, of which the first that fits is taken:

    labels.csv                       its lines say `path,label` of the pictures beside and below it
    train/CLASS/*.jpg, test/CLASS/…  a folder a split; `val` stands in for a missing `test`, and otherwise joins `train`
    CLASS/*.jpg                      a folder a class
    cat.0001.jpg                     the class stands in the file's name, before the number

Within a split the class may stand in the file's name too. Hidden files are passed over.
"""

import csv
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from classifier.common.dvcignore import inside
from classifier.common.errors import UserError, short_message, short_repr
from classifier.images.schema import LONGEST_NAME, TableSplit, is_printable

LABELS_FILE = "labels.csv"
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp"}
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Names of a split's folder, in small or capital letters."""
LEFT_BY_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini"}
HIDING = {".dvc", ".dvcignore"}
"""For DVC, a folder with one of them is another project, or has rules of its own."""
NAME_AND_NUMBER = re.compile(r"(.+?)[._ -]+[0-9]+")


@dataclass(frozen=True, order=True, slots=True)
class Picture:
    """`path` is relative to the folder, with slashes."""

    path: str
    split: TableSplit
    class_name: str


@dataclass
class Listing:
    """The pictures by path, and lines for the person: what was taken for what, and what was left out."""

    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """The names that occur, sorted by their characters."""
        return sorted({picture.class_name for picture in self.pictures})


@dataclass(frozen=True)
class _Tree:
    """Paths of all files and folders below a folder, relative to it, with slashes, sorted."""

    files: list[str]
    folders: list[str]

    def below(self, name: str) -> "_Tree":
        """What lies in the folder `name`, relative to that."""
        cut = len(name) + 1
        inside = [[path[cut:] for path in paths if path.startswith(f"{name}/")] for paths in (self.files, self.folders)]
        return _Tree(*inside)

    @property
    def top_folders(self) -> list[str]:
        return [path for path in self.folders if "/" not in path]


def list_pictures(folder: Path) -> Listing:
    """Find the pictures of `folder`. Raises UserError where a layout does not say clearly what belongs to which class."""
    tree = _tree(folder)
    splits = _split_folders(folder, tree.top_folders)
    listing = Listing()
    if LABELS_FILE in tree.files:
        _take_labelled(folder, tree, listing)
    elif splits:
        _take_splits(folder, tree, splits, listing)
    else:
        listing.pictures = _classified(folder, tree, "", "train")
        _note_others(tree.files, listing)
    listing.pictures.sort()
    _check_bad_classes(folder, tree, listing)
    return listing


def _tree(folder: Path) -> _Tree:
    files: list[str] = []
    folders: list[str] = []
    for path, is_folder in _walk(folder, ""):
        (folders if is_folder else files).append(path)
    return _Tree(sorted(files), sorted(folders))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, bool]]:
    """Every path below `folder`, and whether it is a folder. Refuses what DVC would not see, or what would be no file."""
    with os.scandir(folder) as entries:
        for entry in entries:
            where = f"{folder}: {short_repr(prefix + entry.name)}"
            if entry.name in HIDING and inside(Path(), entry.path).parts:
                raise UserError(f"{where}: with it there DVC would not see all pictures; remove it")
            if entry.name.startswith(".") or entry.name.lower() in LEFT_BY_SYSTEMS:
                continue
            if not entry.name.isascii() and not _is_unicode(entry.name):
                raise UserError(f"{where}: the name is not UTF-8; rename it")
            if entry.is_dir(follow_symlinks=False):
                yield prefix + entry.name, True
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif Path(entry.path).is_file():  # unlike entry.is_file(), it takes a link that leads to itself for none
                yield prefix + entry.name, False
            elif Path(entry.path).is_dir():
                raise UserError(f"{where}: a link to a folder, into which DVC does not look; put the folder itself there")
            else:
                raise UserError(f"{where}: neither a file nor a folder, or a link that leads nowhere; remove it")


def _is_unicode(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _split_folders(folder: Path, top_folders: list[str]) -> dict[str, str]:
    """Split to the name of its folder; empty without a folder for training."""
    found: dict[str, str] = {}
    for name in top_folders:
        for split, names in SPLIT_NAMES.items():
            if name.lower() in names:
                if split in found:
                    raise UserError(
                        f"{folder}: two folders for {split}: {short_repr(found[split])} and {short_repr(name)}; keep one"
                    )
                found[split] = name
    return found if "train" in found else {}


def _take_splits(folder: Path, tree: _Tree, splits: dict[str, str], listing: Listing) -> None:
    others = [name for name in tree.top_folders if name not in splits.values()]
    strays = [path for path in tree.files if "/" not in path and _is_picture(path)]
    if others or strays:
        listing.notes.append(f"left out, as they are in none of {_list(list(splits.values()))}: {_list([*others, *strays])}")
    if "test" not in splits and "val" in splits:
        listing.notes.append(f"the folder {splits['val']} is the test split, as there is no folder test")
        splits = {"train": splits["train"], "test": splits["val"]}
    elif "val" in splits:
        listing.notes.append(f"the pictures of {splits['val']} join those of {splits['train']}; val_fraction cuts validation")
    for split, name in splits.items():
        inside = tree.below(name)
        pictures = _classified(folder, inside, f"{name}/", "test" if split == "test" else "train")
        if not pictures and split != "train":  # or another split would silently stand in for it
            raise UserError(f"{folder}: no picture in the folder {short_repr(name)}: add some or remove it")
        listing.pictures += pictures
        _note_others([f"{name}/{path}" for path in inside.files], listing)


def _classified(folder: Path, tree: _Tree, prefix: str, split: TableSplit) -> list[Picture]:
    """The pictures of `tree`, by the folder they lie in, or where there are no folders, by their name."""
    pictures = [path for path in tree.files if _is_picture(path)]
    strays = [path for path in pictures if "/" not in path]
    if not tree.top_folders:
        return [Picture(prefix + path, split, _class_in_name(folder, prefix + path)) for path in pictures]
    if strays:
        raise UserError(
            f"{folder}: {short_repr(prefix + strays[0])} lies beside the folders of the classes, so it has none "
            f"({len(strays)} such); move it into one"
        )
    return [Picture(prefix + path, split, _normal(path.partition("/")[0])) for path in pictures]


def _class_in_name(folder: Path, path: str) -> str:
    found = NAME_AND_NUMBER.fullmatch(PurePosixPath(path).stem)
    if not found:
        raise UserError(
            f"{folder}: {short_repr(path)} has no class: needs folders named for the classes, a file {LABELS_FILE} with "
            "`path,label`, or names such as cat.0001.jpg"
        )
    return _normal(found[1])


def _take_labelled(folder: Path, tree: _Tree, listing: Listing) -> None:
    labels = _read_labels(folder / LABELS_FILE)
    files = set(tree.files)
    for number, (path, label) in labels.items():
        if path not in files:
            raise UserError(f"{folder / LABELS_FILE}: line {number}: no such file below this folder: {short_repr(path)}")
        listing.pictures.append(Picture(path, "train", _normal(label)))
    listed = {path for path, _ in labels.values()}
    missing = [path for path in tree.files if _is_picture(path) and path not in listed]
    if missing:
        listing.notes.append(f"left out, as {LABELS_FILE} does not name them: {_list(missing)}")


def _read_labels(path: Path) -> dict[int, tuple[str, str]]:
    """Line number to path and label. Raises UserError for another header, ragged lines, empty cells, a path named twice."""
    found: dict[int, tuple[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if header != ["path", "label"]:
                raise UserError(f"{path}: line 1: needs path,label, found {short_repr(','.join(header))}")
            for row in reader:
                if len(row) != 2 or not all(row):
                    raise UserError(
                        f"{path}: line {reader.line_num}: needs a path and a label, found {short_repr(','.join(row))}"
                    )
                found[reader.line_num] = (row[0].replace("\\", "/").removeprefix("./"), row[1])
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as CSV: {short_message(error)}") from None
    twice = [name for name, times in Counter(name for name, _ in found.values()).items() if times > 1]
    if twice:
        raise UserError(f"{path}: needs each picture once, found {short_repr(twice[0])} again")
    return found


def _check_bad_classes(folder: Path, tree: _Tree, listing: Listing) -> None:
    classes = listing.classes
    for name in classes:
        if name != name.strip() or not is_printable(name) or len(name) > LONGEST_NAME:
            raise UserError(
                f"{folder}: the class name {short_repr(name)} must be printable and of at most {LONGEST_NAME} characters, "
                "without spaces at its ends"
            )
    empty = sorted({_normal(name) for name in _class_folders(folder, tree)} - set(classes))
    if empty and LABELS_FILE not in tree.files:
        raise UserError(f"{folder}: no picture of the class {short_repr(empty[0])}: add some or remove its folder")
    if len(classes) < 2:
        found = f"only {short_repr(classes[0])}" if classes else f"none: no {', '.join(sorted(SUFFIXES))} in it"
        inner = f"; is it {folder / tree.top_folders[0]}?" if len(tree.top_folders) == 1 else ""
        raise UserError(f"{folder}: needs pictures of two classes or more, found {found}{inner}")
    if not any(picture.split == "train" for picture in listing.pictures):
        raise UserError(f"{folder}: needs pictures to train on, found some only to test on")


def _class_folders(folder: Path, tree: _Tree) -> list[str]:
    splits = _split_folders(folder, tree.top_folders)
    return [one for name in splits.values() for one in tree.below(name).top_folders] if splits else tree.top_folders


def _note_others(files: list[str], listing: Listing) -> None:
    others = [path for path in files if not _is_picture(path)]
    if others:
        listing.notes.append(f"left out, as their names are not those of pictures: {_list(others)}")


def _is_picture(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def _normal(name: str) -> str:
    """A Mac writes é as two characters where other systems write one."""
    return unicodedata.normalize("NFC", name)


def _list(names: list[str]) -> str:
    """The first three, and how many there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(map(short_repr, names[:3]))}{more}"
