"""Stage `download`: the catalogue, or a person's own images -> data/raw/ (few files, every byte checked, and raw.json)."""

import os
import shutil
import sys
from pathlib import Path

from classifier.catalogue import CataloguedDataset, load_dataset
from classifier.common.errors import UserError
from classifier.common.files import replacing_folder, write_json
from classifier.fetch import MIRROR_VARIABLE, fetch_all
from classifier.image_folder import list_pictures
from classifier.kaggle_table import classes_of, find_tables, has_labels, labels_of
from classifier.own_data import CSV, FOLDER, MIRRORED, refuse_mismatch
from classifier.params.download import DownloadParams
from classifier.picture_pack import CONTENTS_FILE, LIST_FILE, write_pack
from classifier.schema import RawDescription
from stages.runner import run_stage, state_folder


def main(params: DownloadParams, root: Path = Path()) -> None:
    """Fill data/raw/ whole: with a data set of the catalogue, or with what lies in the person's folder or tables."""
    source = root / params.source
    refuse_mismatch(source, params.dataset)
    if params.dataset == FOLDER:
        _pack_pictures(source, root)
    elif params.dataset == CSV:
        _copy_tables(source, root)
    else:
        _download(params.dataset, load_dataset(source, params.dataset), root)


def _download(name: str, dataset: CataloguedDataset, root: Path) -> None:
    paths = fetch(name, dataset, root)
    files = {role: file.name for role, file in dataset.files.items()}
    with replacing_folder(root / "data/raw") as folder:
        for role, file in files.items():
            _copy(paths[role], folder / file)
        description = RawDescription(
            dataset=name, format=dataset.format, classes=dataset.classes, mirrored=dataset.mirrored, files=files
        )
        write_json(folder / "raw.json", description.model_dump())


def _pack_pictures(source: Path, root: Path) -> None:
    if root.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{source}: needs a folder of pictures, found the one that holds this repository")
    listing = list_pictures(source)
    for note in listing.notes:
        _tell(f"{source}: {note}")
    labels = {name: label for label, name in enumerate(listing.classes)}
    with replacing_folder(root / "data/raw") as folder:
        pictures = ((one.path, one.split, labels[one.class_name]) for one in listing.pictures)
        write_pack(folder, source, pictures, len(listing.pictures))
        files = {"contents": CONTENTS_FILE, "list": LIST_FILE}
        description = RawDescription(
            dataset=FOLDER, format="pictures", classes=listing.classes, mirrored=MIRRORED[FOLDER], files=files
        )
        write_json(folder / "raw.json", description.model_dump())


def _copy_tables(source: Path, root: Path) -> None:
    tables = find_tables(source)
    if "test" in tables and not has_labels(tables["test"]):
        _tell(f"{tables['test']}: left out, as it has no column `label` in front, so nothing can be measured on it")
        del tables["test"]
    labels = set().union(*(labels_of(path) for path in tables.values()))
    if len(labels) < 2:
        raise UserError(f"{tables['train']}: needs two classes or more, found {len(labels)}")
    files: dict[str, str] = {split: f"{split}.csv" for split in tables}
    with replacing_folder(root / "data/raw") as folder:
        for split, path in tables.items():
            _copy(path, folder / files[split])
        description = RawDescription(dataset=CSV, format="csv", classes=classes_of(labels), mirrored=MIRRORED[CSV], files=files)
        write_json(folder / "raw.json", description.model_dump())


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
