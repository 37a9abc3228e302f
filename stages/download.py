"""Stage `download`: the catalogue, or a person's own images -> data/raw/ (few files, every byte checked, and raw.json)."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier.common.errors import UserError
from classifier.common.files import replacing_folder, state_folder, write_json
from classifier.images.picture_pack import CONTENTS_FILE, LIST_FILE, write_pack
from classifier.images.schema import CSV, FOLDER, HFLIP_INVARIANT, RawDescription, TableSplit
from classifier.sources.catalogue import CataloguedDataset, load_dataset
from classifier.sources.fetch import MIRROR_VARIABLE, fetch_all
from classifier.sources.folder import list_pictures
from classifier.sources.listing import MIRROR_NOTE, listing_lines, shown
from classifier.sources.params import DownloadParams, check_source, columns_of
from stages.runner import run_stage

TABLE_SPLITS: tuple[TableSplit, ...] = ("train", "test")


def main(params: DownloadParams, root: Path = Path()) -> None:
    """Fill data/raw/ whole: with a data set of the catalogue, or with what lies in the person's folder or tables."""
    source = root / params.source
    check_source(source, params.dataset)
    if params.dataset == FOLDER:
        _pack_pictures(params, source, root)
    elif params.dataset == CSV:
        _take_tables(params, source, root)
    else:
        _download(params.dataset, load_dataset(source, params.dataset), root)


def _download(name: str, dataset: CataloguedDataset, root: Path) -> None:
    paths = fetch(name, dataset, root)
    files = {role: file.name for role, file in dataset.files.items()}
    with replacing_folder(root / "data/raw") as folder:
        for role, file in files.items():
            _copy(paths[role], folder / file)
        description = RawDescription(
            dataset=name, format=dataset.format, classes=dataset.classes, hflip_invariant=dataset.hflip_invariant, files=files
        )
        write_json(folder / "raw.json", description.model_dump(exclude_none=True))


def _pack_pictures(params: DownloadParams, source: Path, root: Path) -> None:
    if root.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{source}: needs a folder of pictures, found the one that holds this repository")
    listing = list_pictures(source, columns_of(params), params.class_depth, params.group_pattern)
    for line in (*listing_lines(listing, str(source)), MIRROR_NOTE):
        _tell(line)
    labels = {name: label for label, name in enumerate(listing.classes)}
    with replacing_folder(root / "data/raw") as folder:
        order: Sequence[int] = range(len(listing))
        if not source.is_dir():
            order = sorted(order, key=lambda number: listing.files.offset(listing.places[number]))
        pictures = ((one.path, one.split, labels[one.class_name], one.group) for one in map(listing.picture, order))
        grouped = listing.group_of is not None
        write_pack(folder, source, pictures, len(listing), listing.files.read, grouped=grouped)
        files = {"contents": CONTENTS_FILE, "list": LIST_FILE}
        description = RawDescription(
            dataset=FOLDER, format="pictures", classes=listing.classes, hflip_invariant=HFLIP_INVARIANT[FOLDER], files=files
        )
        write_json(folder / "raw.json", description.model_dump(exclude_none=True))


def _take_tables(params: DownloadParams, source: Path, root: Path) -> None:
    """Copy tables of our own layout as they are; write others in it, and say what was taken for what."""
    from classifier.images.table import write_table  # NumPy and pandas, which nothing else here needs
    from classifier.sources.csv_layouts import Asked
    from classifier.sources.rows import WHITE
    from classifier.sources.tables import (
        check_classes_of_splits,
        checked_classes,
        find_tables,
        is_ours,
        labels_of,
        open_tables,
        other_tables,
        survey,
        tables_folder,
    )

    with tables_folder(source) as place:

        def tell(line: str) -> None:
            _tell(line.replace(str(place), str(source)))

        paths = find_tables(place)
        tables = open_tables(paths, Asked(params.label_column, params.split_column))
        if others := other_tables(place, paths):
            _tell(f"{source}: left out, because their names are of no split: {shown(others)}")
        for table in tables:
            if not table.has_labels:
                tell(f"{table.where}: left out, because it has no column `label`")
        tables = [table for table in tables if table.has_labels]
        copied = params.pixel_max in (None, WHITE) and all(table.split != "val" and is_ours(table) for table in tables)
        found = None if copied else survey(tables, params.pixel_max)
        if found:
            classes, notes = found.classes, found.notes
        else:
            labels = {table.split: labels_of(table.path) for table in tables}
            classes = checked_classes(tables[0].where, set[str]().union(*labels.values()))
            notes = check_classes_of_splits(tables[0].where, labels)
        for line in [f"{table.where}: {note}" for table in tables for note in table.notes]:
            tell(line)
        for note in notes:
            tell(f"{source}: {note}")
        with replacing_folder(root / "data/raw") as folder:
            if found:
                splits = [split for split in TABLE_SPLITS if any(found.names[one] == split for one in found.rows)]
                for split in splits:
                    write_table(folder / f"{split}.csv", found.num_pixels, found.blocks(split))
            else:
                splits = [split for split in TABLE_SPLITS if any(table.split == split for table in tables)]
                for table in tables:
                    _copy(table.path, folder / f"{table.split}.csv")
            description = RawDescription(
                dataset=CSV,
                format="csv",
                classes=classes,
                hflip_invariant=HFLIP_INVARIANT[CSV],
                pixel_max=found.white if found and found.white != WHITE else None,
                files={split: f"{split}.csv" for split in splits},
            )
            write_json(folder / "raw.json", description.model_dump(exclude_none=True))


def _copy(path: Path, target: Path) -> None:
    """A copy, not a link: DVC may make the files of data/raw/ read-only, or replace them."""
    with path.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written)


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def fetch(name: str, dataset: CataloguedDataset, root: Path) -> dict[str, Path]:
    """Bring the files of the data set `name` into the store; return their paths by role.

    The store is in the state folder of DVC, because DVC empties data/raw/ before each attempt.
    """
    return fetch_all(name, dataset.files, state_folder(root) / "downloads", os.environ.get(MIRROR_VARIABLE))


if __name__ == "__main__":
    run_stage("download", main, DownloadParams)
