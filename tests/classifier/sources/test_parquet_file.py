"""Pictures in .parquet files, as Hugging Face's `datasets` writes them, as a source of `dataset: folder`."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifier.common.errors import UserError
from classifier.sources.folder import list_pictures
from classifier.sources.labels import Columns
from classifier.sources.listing import Listing

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}


def pictures(*names: str) -> "pa.Array[Any]":
    return pa.array([{"bytes": f"bytes of {name}".encode(), "path": name} for name in names], IMAGE)


def write(path: Path, features: dict[str, Any] | None = FEATURES, **columns: Any) -> Path:
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=2)
    return path


def counts(listing: Listing) -> dict[tuple[str, str], int]:
    return dict(Counter((picture.split, picture.class_name) for picture in listing))


def published(folder: Path) -> Path:
    """Two files to train on, of more than one row group each; the first test picture has no label."""
    write(folder / "data/train-00000-of-00002.parquet", image=pictures("a", "b", "c"), label=[1, 0, 1])
    write(folder / "data/train-00001-of-00002.parquet", image=pictures("d"), label=[0])
    write(folder / "data/test-00000-of-00001.parquet", image=pictures("e", "f"), label=[-1, 1])
    return folder


def test_classes_splits_and_bytes_of_a_published_data_set(tmp_path: Path) -> None:
    listing = list_pictures(published(tmp_path))
    assert counts(listing) == {("train", "cat"): 2, ("train", "dog"): 2, ("test", "dog"): 1}
    assert {picture.path: picture.class_name for picture in listing} == {
        "data/test-00000-of-00001.parquet/2/f": "dog",
        "data/train-00000-of-00002.parquet/1/a": "dog",
        "data/train-00000-of-00002.parquet/2/b": "cat",
        "data/train-00000-of-00002.parquet/3/c": "dog",
        "data/train-00001-of-00002.parquet/1/d": "cat",
    }
    for picture in [*listing, *reversed(list(listing))]:  # in any order, though in their own each batch is read once
        assert listing.files.read(picture.path) == f"bytes of {picture.path[-1]}".encode()
    assert listing.notes == ["data/test-00000-of-00001.parquet: 1 pictures without a label are left out"]
    assert listing.layout == "3 .parquet files (pictures are the column image, labels label)"


def test_folders_of_splits_plain_binary_and_names_as_labels(tmp_path: Path) -> None:
    """As Hugging Face converts them: default/train/0000.parquet; without its metadata."""
    for split, label in (("train", ["oak", "rose"]), ("validation", ["rose", "oak"])):
        write(tmp_path / f"default/{split}/0000.parquet", None, img=[b"1", b"2"], label=label)
    listing = list_pictures(tmp_path)
    assert counts(listing) == {("train", "oak"): 1, ("train", "rose"): 1, ("test", "oak"): 1, ("test", "rose"): 1}
    assert listing.notes == ["the split val is the test split, as there is no test"]
    assert [listing.files.read(picture.path) for picture in listing] == [b"1", b"2"] * 2


def test_one_file_with_a_column_of_splits_and_one_of_groups(tmp_path: Path) -> None:
    columns = {"split": ["train", "train", "Test", "train"], "track": ["x", "x", "y", None]}
    path = write(tmp_path / "all.parquet", image=pictures("1", "2", "3", "4"), label=[0, 1, 0, 0], **columns)
    listing = list_pictures(path, Columns(group="track"))
    assert [(picture.path, picture.split, picture.group) for picture in listing] == [
        ("all.parquet/1/1", "train", "x"),
        ("all.parquet/2/2", "train", "x"),
        ("all.parquet/3/3", "test", "y"),
        ("all.parquet/4/4", "train", "all.parquet/4/4"),
    ]


def test_whole_numbers_without_names_are_the_names(tmp_path: Path) -> None:
    listing = list_pictures(write(tmp_path / "train.parquet", None, image=[b"a", b"b", b"c"], label=[7, 3, 7]))
    assert listing.classes == ["3", "7"]


@pytest.mark.parametrize(
    ("columns", "features", "message"),
    [
        ({"label": [0, 1]}, FEATURES, "needs a column with the bytes of pictures .*, found 'label'$"),
        ({"image": [b"a", b"b"]}, FEATURES, r"needs a column of labels, found 'image'; say which: `-S label_column=…`"),
        (
            {"image": [b"a", b"b"], "labels": [[0], [1]]},
            None,
            r"'labels': needs one whole number or name a picture, found list<.*>: several labels a picture are not supported",
        ),
        (
            {"image": [b"a", b"b"], "fine": [0, 1], "coarse": [0, 1]},
            dict.fromkeys(("fine", "coarse"), FEATURES["label"]),
            r"'fine', 'coarse' may be the labels; say which: `dvc exp run .*label_column=fine` or `.*label_column=coarse`",
        ),
        ({"a": [b"a", b"b"], "b": [b"a", b"b"], "label": [0, 1]}, None, "'a', 'b' may be the pictures; .*path_column=a`"),
        ({"image": [b"a", b"b"], "label": [0, 2]}, FEATURES, "row 2: needs a label below 2, as the schema .*, found 2"),
        ({"image": [b"a", b"b"], "label": [0, -1]}, FEATURES, "row 2: needs a label to train on, found -1"),
    ],
)
def test_what_has_no_one_reading_is_refused(
    tmp_path: Path, columns: dict[str, Any], features: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        list_pictures(write(tmp_path / "train.parquet", features, **columns))


def test_two_data_sets_in_one_folder_are_refused_with_both_commands(tmp_path: Path) -> None:
    for name in ("cropped", "full"):
        write(tmp_path / name / "train-0.parquet", image=pictures("a", "b"), label=[0, 1])
    with pytest.raises(UserError, match=r"may be data sets of their own; say which: `.*/cropped` or `.*/full`"):
        list_pictures(tmp_path)
    assert len(list_pictures(tmp_path / "full")) == 2


def test_a_path_alone_a_damaged_file_and_a_pointer_are_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "train.parquet",
        image=pa.array([{"bytes": b"1", "path": "a"}, {"bytes": None, "path": "/b"}], IMAGE),
        label=[0, 1],
    )
    listing = list_pictures(path)
    with pytest.raises(UserError, match="row 2: needs the bytes of a picture, found none"):
        listing.files.read(listing.picture(1).path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(UserError, match=r"train\.parquet: not a whole \.parquet file"):
        list_pictures(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match="git lfs pull"):
        list_pictures(path)
    with pytest.raises(UserError, match="class_depth is about folders"):
        list_pictures(path, class_depth=1)


def test_without_pyarrow_one_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = published(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r"\.parquet needs pyarrow, .*; `sh tools/setup\.sh parquet` installs it"):
        list_pictures(folder)


def test_a_large_row_group_is_read_page_by_page(tmp_path: Path) -> None:
    """A file of one row group, as many programs write them, is never held whole. By itself pyarrow would read it ahead."""
    path = tmp_path / "train.parquet"
    table = pa.table({"image": [os.urandom(100_000) for _ in range(400)], "label": [0, 1] * 200})
    pq.write_table(table, path, row_group_size=400, compression="none", write_batch_size=8)
    files = list_pictures(path).files
    before, peak = pa.total_allocated_bytes(), 0
    for picture in files.pictures:
        assert len(files.read(picture)) == 100_000
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 20_000_000 < path.stat().st_size
