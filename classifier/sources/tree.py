"""What lies below a folder of a source, and what the names of its folders and pictures say of splits and classes."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal

from classifier.common.errors import UserError, short_repr
from classifier.images.schema import DatasetSplit
from classifier.sources.files import SourceFiles
from classifier.sources.labels import TABLE_SUFFIXES, split_in_words, split_of_word
from classifier.sources.listing import LAST

SPLITS: tuple[DatasetSplit, ...] = ("train", "val", "test")
NAME_AND_NUMBER = re.compile(r"(.+?)(?:[._ -]+[0-9]+|[._ -]*\([0-9]+\))")


@dataclass(frozen=True)
class Tree:
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

    def below(self, name: str) -> "Tree":
        return Tree(self.files, f"{self.prefix}{name}/")

    def parts(self, place: int) -> list[str]:
        """Of a picture's path from here."""
        return self.files.pictures[place][len(self.prefix) :].split("/")


def _bounds(paths: list[str], prefix: str) -> tuple[int, int]:
    """First and after the last of the sorted `paths` that begin with `prefix`; `0` is the character behind the slash."""
    return (bisect_left(paths, prefix), bisect_left(paths, f"{prefix[:-1]}0")) if prefix else (0, len(paths))


def _inside(paths: list[str], prefix: str) -> list[str]:
    return paths[slice(*_bounds(paths, prefix))]


def unwrapped(tree: Tree) -> Tree:
    """The folder in which the layout begins: one folder that alone holds folders or a table is looked into."""
    while len(tree.folders) == 1 and not tree.strays and not tree.tables and split_of_word(tree.folders[0]) is None:
        inner = tree.below(tree.folders[0])
        if not inner.folders and not inner.tables:
            break
        tree = inner
    return tree


def unwrapped_folder(tree: Tree) -> Tree:
    while len(tree.folders) == 1 and not tree.strays:
        tree = tree.below(tree.folders[0])
    return tree


def names_say_classes(tree: Tree) -> bool:
    """Whether the names of the pictures directly in `tree` have a class each, and more than one."""
    found = [NAME_AND_NUMBER.fullmatch(PurePosixPath(path).stem) for path in tree.strays]
    return all(found) and len({match[1] for match in found if match}) > 1


def split_folders(root: Tree) -> dict[DatasetSplit, str]:
    """Split to the name of its folder; empty without a folder for training."""
    found: dict[DatasetSplit, str] = {}
    stems: dict[str, tuple[DatasetSplit, tuple[str, ...]]] = {}
    for name in root.folders:
        split = split_of_word(name)
        if split is not None and split in found:
            raise UserError(
                f"{root.files.source}: two folders for {split}: {short_repr(found[split])} and {short_repr(name)}; keep one"
            )
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


def split_of_table(path: str, root: Tree, splits: dict[DatasetSplit, str]) -> DatasetSplit | None:
    for split, name in splits.items():
        if path.startswith(f"{root.prefix}{name}/"):
            return split
    parsed = split_in_words(PurePosixPath(path).stem)
    return parsed[0] if parsed else None


def is_split_inside(root: Tree) -> bool:
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


def names_at(tree: Tree, depth: int | Literal["last"]) -> Callable[[list[str]], str]:
    """The name of the class by the parts of a path: of the folder `depth` deep, with those above it where two are called so."""
    if depth == LAST:
        return lambda parts: parts[-2]
    cut = len(tree.prefix)
    folders = [path[cut:].split("/") for path in _inside(tree.files.folders, tree.prefix) if path[cut:].count("/") == depth - 1]
    if len({parts[-1] for parts in folders}) == len(folders):
        return lambda parts: parts[depth - 1]
    start = next(level for level in range(depth) if len({parts[level] for parts in folders}) > 1)
    return lambda parts: "/".join(parts[start:depth])


def normal(name: str) -> str:
    """A Mac writes é as two characters where other systems write one."""
    return unicodedata.normalize("NFC", name)
