"""Stage `build`: data/csv -> data/dataset/ (arrays of train, val and test, dataset.json), metrics/data.json, plots/data.csv."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np

from classifier.common.errors import UserError
from classifier.common.files import read_json, replacing_folder, together, write_json, write_text
from classifier.images.arrays import Images, Labels, load_split, take_rows, write_split
from classifier.images.groups import Groups, read_groups
from classifier.images.packed_pixels import read_packed
from classifier.images.schema import DatasetInfo, DatasetSplit, TableSchema, TableSplit
from classifier.images.table import read_table
from classifier.images.unreadable import read_unreadable
from classifier.splits.data_check import (
    NEAR_COPIES_FILE,
    class_table,
    data_metrics,
    data_report,
    near_copies_table,
    remarks,
)
from classifier.splits.digests import all_digests
from classifier.splits.near_copies import find_near_copies
from classifier.splits.params import BuildParams
from classifier.splits.split import Rows, channel_statistics, split_rows
from stages.runner import run_stage

TEST_FRACTION = 0.2
"""What `test_fraction: null` means."""


def main(params: BuildParams, root: Path = Path()) -> None:
    """Turn the tables into arrays, cut the splits that they lack, measure what is left of train, and say what is odd."""
    tables = root / "data/csv"
    schema = read_json(tables / "schema.json", TableSchema)
    unreadable = [one.path for one in read_unreadable(tables)]
    with together():
        with replacing_folder(root / "data/dataset") as folder:
            given = {split: _arrays(tables, split, schema, folder / f"given_{split}") for split in schema.rows}
            labels = {name: labels_N for name, (_, labels_N) in given.items()}
            groups_N = read_groups(tables, schema.rows["train"])
            for split, (source, rows_N) in _cut(params, labels, groups_N, schema.classes).items():
                write_split(folder / split, len(rows_N), schema.shape_CHW, take_rows(*given[source], rows_N))
            for split in given:
                shutil.rmtree(folder / f"given_{split}", ignore_errors=True)
            splits = {split: load_split(folder / split) for split in _SPLITS}
            mean, std = channel_statistics(splits["train"][0])
            info = DatasetInfo(
                dataset=schema.dataset,
                classes=schema.classes,
                shape_CHW=schema.shape_CHW,
                hflip_invariant=schema.hflip_invariant,
                pixel_max=schema.pixel_max,
                rows={split: len(labels_N) for split, (_, labels_N) in splits.items()},
                mean=mean,
                std=std,
            )
            write_json(folder / "dataset.json", info.model_dump(mode="json", exclude_none=True))
            filled = {str(name): images_NCHW for name, (images_NCHW, _) in splits.items() if len(images_NCHW)}
            digests = all_digests(filled)
            near_copies = find_near_copies(filled, digests)
            write_text(folder / NEAR_COPIES_FILE, near_copies_table(near_copies, splits, schema.classes))
            report = data_report(splits, len(schema.classes), unreadable, schema.pixel_max, near_copies, digests)
            table = class_table(splits, schema.classes)
        write_json(root / "metrics/data.json", data_metrics(report))
        write_text(root / "plots/data.csv", table)
    for remark in remarks(report):
        print(f"data check: {remark}", file=sys.stderr)


_SPLITS: tuple[DatasetSplit, ...] = ("train", "val", "test")


def _arrays(tables: Path, split: TableSplit, schema: TableSchema, folder: Path) -> tuple[Images, Labels]:
    """All rows of a table, memory-mapped: from the packed pixels as they are, or through arrays in the new `folder`."""
    num_rows, num_classes = schema.rows[split], len(schema.classes)
    if schema.packed_pixels:
        return read_packed(tables, split, schema.shape_CHW, num_classes, num_rows)
    write_split(
        folder, num_rows, schema.shape_CHW, read_table(tables / f"{split}.csv", schema.num_pixels, num_classes, num_rows)
    )
    return load_split(folder)


def _cut(
    params: BuildParams, labels: dict[TableSplit, Labels], groups_N: Groups | None, classes: list[str]
) -> dict[DatasetSplit, tuple[TableSplit, Rows]]:
    """For each split the table that its rows are from, and which. Without a table to test on, test is cut before validation."""
    num_given = len(labels["test"])
    if num_given and params.test_fraction is not None:
        raise UserError(
            f"test_fraction has no effect, as there are {num_given} images to test on already; write `test_fraction: null`"
        )
    rest_N, test_N = np.arange(len(labels["train"])), np.arange(num_given)
    if not num_given:
        fraction = TEST_FRACTION if params.test_fraction is None else params.test_fraction
        rest_N, test_N = split_rows(labels["train"], fraction, params.seed, "test_fraction", classes, groups_N)
        _say_more("test_fraction", fraction, rest_N, test_N, groups_N)
    rest_groups_N = None if groups_N is None else groups_N[rest_N]
    train, val = split_rows(labels["train"][rest_N], params.val_fraction, params.seed, "val_fraction", classes, rest_groups_N)
    _say_more("val_fraction", params.val_fraction, train, val, groups_N)
    return {
        "train": ("train", rest_N[train]),
        "val": ("train", rest_N[val]),
        "test": ("test" if num_given else "train", test_N),
    }


def _say_more(name: str, fraction: float, rest: Rows, cut: Rows, groups_N: Groups | None) -> None:
    """Where the fraction is too small for one image of each class."""
    asked = math.ceil(fraction * (len(rest) + len(cut)))
    if groups_N is None and len(cut) > asked:
        print(f"{name} {fraction}: {len(cut)} images in place of {asked}, so that each class has one", file=sys.stderr)


if __name__ == "__main__":
    run_stage("build", main, BuildParams)
