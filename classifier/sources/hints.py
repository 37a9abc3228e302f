"""Ends of error messages: what lies in a source that could not be read, and the way out; empty where there is none."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from classifier.images.picture_pack import SUFFIXES
from classifier.images.schema import FOLDER
from classifier.sources.files import ARCHIVE_SUFFIXES, SourceFiles
from classifier.sources.label_tables import LABELS_FILE, MAX_TABLES
from classifier.sources.labels import find_columns, split_of_word
from classifier.sources.listing import command, shown
from classifier.sources.params import PIXEL_TABLES
from classifier.sources.tree import Tree

WITH_COLUMNS = (".csv", ".tsv", ".jsonl")
OTHER_TABLES = (".xlsx", ".xls", ".ods", ".json", ".parquet", ".xml")


def tables_hint(files: SourceFiles) -> str:
    """The tables in which nothing was recognised, and those of kinds that are not read."""
    tables, foreign = (
        [other for other in files.others if other.lower().endswith(ends)] for ends in (WITH_COLUMNS, OTHER_TABLES)
    )
    if tables:
        found = columns_hint(files)
        return (
            f"; no columns of paths and labels were found in {shown(tables)}; `-S path_column=… -S label_column=…` say them"
            + (f": {found[0]} names pictures, whose class may be {found[1]}" if found else "")
        )
    return f"; not read: {shown(foreign)}; save it as {LABELS_FILE} with `path,label`" if foreign else ""


def columns_hint(files: SourceFiles) -> tuple[str, str] | None:
    """A table that names pictures, and the commands that say which of its columns may be the class."""
    for path in [other for other in files.others if other.lower().endswith(WITH_COLUMNS)][:MAX_TABLES]:
        if "submission" not in path.lower() and (settings := find_columns(files, path)):
            folder = path.rpartition("/")[0]
            is_inner = files.source.is_dir() and folder and Tree(files, f"{folder}/").places
            source = files.source / folder if is_inner and not split_of_word(PurePosixPath(folder).name) else files.source
            return path, " or ".join(f"`{command(FOLDER, source, one)}`" for one in settings[:3])
    return None


def folder_hint(tree: Tree) -> str:
    """The folder below that looks like the data: of a project, whose other folders hold code and pages."""
    filled = {tree.files.pictures[place].rpartition("/")[0] for place in tree.places}
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
    return f"; or is it `{command(FOLDER, tree.files.source / best, {})}`?" if best and f"{best}/" != tree.prefix else ""


def formats_hint(tree: Tree) -> str:
    """What lies there instead of pictures, by suffix, and what to do with an archive."""
    if archives := archives_hint(tree):
        return archives
    found = f"; found are {by_suffix(tree.others)}; read are {', '.join(sorted(SUFFIXES))}" if tree.others else ""
    is_packed = not tree.files.source.is_dir() and any(path.lower().endswith(PIXEL_TABLES) for path in tree.others)
    return found + "; of tables of pixels, say -S dataset=csv" * is_packed


def archives_hint(tree: Tree) -> str:
    archives = [path for path in tree.others if path.lower().endswith(ARCHIVE_SUFFIXES)]
    if archives and not tree.files.source.is_dir():
        return f"; {shown(archives)}: unpack {tree.files.source.name}, and name that"
    return f"; {shown(archives)}: unpack it, or name it, as `-S source={tree.files.source / archives[0]}`" if archives else ""


def by_suffix(paths: Iterable[str]) -> str:
    """`12 .heic, 3 .txt`."""
    counts = Counter(PurePosixPath(path).suffix.lower() or "without a suffix" for path in paths)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4))
