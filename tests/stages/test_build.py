"""Stage `build`: tables in, arrays and dataset.json out."""

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.common.errors import UserError
from stages.build import main
from tests.support.data_params import build_params

SPLITS = ("train", "val", "test")


def write_tables(
    root: Path,
    num_train: int = 60,
    num_test: int = 20,
    shape_CHW: tuple[int, int, int] = (2, 3, 4),
    hflip_invariant: bool = True,
) -> None:
    """Random tables, written with numpy alone; pixels of train differ from row to row, so that rows can be told apart."""
    folder = root / "data/csv"
    folder.mkdir(parents=True)
    num_pixels = int(np.prod(shape_CHW))
    header = ",".join(["label", *(f"pixel{number}" for number in range(1, num_pixels + 1))])
    rng = np.random.default_rng(0)
    for split, num_rows in (("train", num_train), ("test", num_test)):
        rows = np.column_stack([np.arange(num_rows) % 3, rng.integers(0, 256, (num_rows, num_pixels))])
        np.savetxt(folder / f"{split}.csv", rows, fmt="%d", delimiter=",", header=header, comments="")
    schema = {
        "dataset": "some",
        "classes": ["cat", "dog", "fish"],
        "shape_CHW": shape_CHW,
        "hflip_invariant": hflip_invariant,
        "rows": {"train": num_train, "test": num_test},
    }
    (folder / "schema.json").write_text(json.dumps(schema))


def table_rows(root: Path, split: str) -> NDArray[np.int64]:
    return np.loadtxt(root / f"data/csv/{split}.csv", dtype=np.int64, delimiter=",", skiprows=1)


def built_rows(root: Path, split: str) -> NDArray[np.int64]:
    """The arrays of a split put back as the rows of a table."""
    folder = root / "data/dataset" / split
    images_NCHW, labels_N = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    assert (images_NCHW.dtype, labels_N.dtype) == (np.uint8, np.int64)
    assert images_NCHW.shape == (len(labels_N), 2, 3, 4)
    return np.column_stack([labels_N, images_NCHW.reshape(len(labels_N), 24)])


def test_train_and_validation_together_are_the_training_table(tmp_path: Path) -> None:
    write_tables(tmp_path)
    main(build_params(val_fraction=0.2, seed=0), tmp_path)
    train, val = built_rows(tmp_path, "train"), built_rows(tmp_path, "val")
    assert sorted([*train.tolist(), *val.tolist()]) == sorted(table_rows(tmp_path, "train").tolist())
    assert np.bincount(val[:, 0]).tolist() == [4, 4, 4]
    np.testing.assert_array_equal(built_rows(tmp_path, "test"), table_rows(tmp_path, "test"))


def test_the_rows_keep_their_order(tmp_path: Path) -> None:
    write_tables(tmp_path)
    main(build_params(val_fraction=0.2, seed=0), tmp_path)
    table = table_rows(tmp_path, "train").tolist()
    for split in ("train", "val"):
        places = [table.index(row) for row in built_rows(tmp_path, split).tolist()]
        assert places == sorted(places)


def test_no_validation(tmp_path: Path) -> None:
    write_tables(tmp_path)
    main(build_params(val_fraction=0.0, seed=0), tmp_path)
    np.testing.assert_array_equal(built_rows(tmp_path, "train"), table_rows(tmp_path, "train"))
    assert built_rows(tmp_path, "val").shape == (0, 25)


@pytest.mark.parametrize("hflip_invariant", [True, False])
def test_dataset_json_measures_what_is_left_of_train(tmp_path: Path, hflip_invariant: bool) -> None:
    write_tables(tmp_path, hflip_invariant=hflip_invariant)
    main(build_params(val_fraction=0.2, seed=0), tmp_path)
    info = json.loads((tmp_path / "data/dataset/dataset.json").read_text())
    images_NCHW = np.load(tmp_path / "data/dataset/train/images.npy") / 255
    assert info.pop("mean") == pytest.approx(images_NCHW.mean(axis=(0, 2, 3)).tolist(), rel=1e-12)
    assert info.pop("std") == pytest.approx(images_NCHW.std(axis=(0, 2, 3)).tolist(), rel=1e-12)
    assert info == {
        "dataset": "some",
        "classes": ["cat", "dog", "fish"],
        "shape_CHW": [2, 3, 4],
        "hflip_invariant": hflip_invariant,
        "rows": {"train": 48, "val": 12, "test": 20},
    }


def test_nothing_else_is_written(tmp_path: Path) -> None:
    write_tables(tmp_path)
    main(build_params(val_fraction=0.2, seed=0), tmp_path)
    written = sorted(
        str(file.relative_to(tmp_path / "data/dataset")) for file in tmp_path.rglob("dataset/**/*") if file.is_file()
    )
    assert written == [
        "dataset.json",
        "near_copies.csv",
        *(f"{split}/{name}.npy" for split in sorted(SPLITS) for name in ("images", "labels")),
    ]


def test_the_same_bytes_again_and_others_with_another_seed(tmp_path: Path) -> None:
    write_tables(tmp_path)
    contents = []
    for seed in (1, 1, 2):
        main(build_params(val_fraction=0.2, seed=seed), tmp_path)
        contents.append([file.read_bytes() for file in sorted(tmp_path.rglob("dataset/*/*.npy"))])
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("train.csv", "\n1,", "\n7,", r"data/csv/train.csv: line 3, column label: needs .* from 0 to 2, found '7'"),
        ("test.csv", "pixel5,", "", r"data/csv/test.csv: line 1, column 6: needs 'pixel5', found 'pixel6'"),
        ("schema.json", '"train": 60', '"train": 61', r"data/csv/train.csv: needs the 61 rows of schema.json, found 60"),
        (
            "schema.json",
            '"train": 60',
            '"train": 59',
            r"data/csv/train.csv: line 61: needs the 59 rows of schema.json, found more",
        ),
        ("schema.json", '"train": 60, ', "", r"data/csv/schema.json: rows: .* at least 2 items"),
        ("schema.json", "[2, 3, 4]", "[2, 3]", r"data/csv/schema.json: shape_CHW"),
        ("schema.json", '"hflip_invariant": true, ', "", r"data/csv/schema.json: hflip_invariant: Field required, got "),
        ("schema.json", "[2, 3, 4]", "[2, 3, 5]", r"line 1, column 26: needs 'pixel25', found none"),
    ],
)
def test_what_is_refused_leaves_what_was_there(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    write_tables(tmp_path)
    main(build_params(val_fraction=0.2, seed=0), tmp_path)
    before = (tmp_path / "data/dataset/dataset.json").read_text()
    path = tmp_path / "data/csv" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        main(build_params(val_fraction=0.3, seed=0), tmp_path)
    assert sorted(child.name for child in (tmp_path / "data").iterdir()) == ["csv", "dataset"]
    assert (tmp_path / "data/dataset/dataset.json").read_text() == before


def test_a_fraction_too_small_takes_one_image_of_each_class_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tables(tmp_path)
    main(build_params(val_fraction=0.01, seed=0), tmp_path)
    assert "val_fraction 0.01: 3 images in place of 1, so that each class has one" in capsys.readouterr().err
    assert sorted(np.load(tmp_path / "data/dataset/val/labels.npy").tolist()) == [0, 1, 2]


def test_memory_does_not_follow_the_number_of_rows(tmp_path: Path) -> None:

    def peak_bytes(num_rows: int) -> int:
        root = tmp_path / str(num_rows)
        write_tables(root, num_rows, 3, (1, 28, 28))
        tracemalloc.start()
        try:
            main(build_params(val_fraction=0.0, seed=0), root)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_of_2000 = peak_bytes(2000)
    assert peak_bytes(8000) < 1.1 * peak_of_2000 + 8 * 8 * 6000  # labels and row numbers, 8 bytes each, a few times over
    assert peak_of_2000 < 20 * 2**20


def test_torch_is_not_imported() -> None:
    program = "import sys, stages.build; print({'torch', 'torchvision', 'sklearn', 'pandas'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_its_three_outputs_appear_together(tmp_path: Path) -> None:
    """A folder in the place of the last one stands in for a disk that is full by then."""
    write_tables(tmp_path)
    (tmp_path / "plots/data.csv").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        main(build_params(val_fraction=0.2, seed=0), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["csv", "data.csv"]
    (tmp_path / "plots/data.csv").rmdir()
    main(build_params(val_fraction=0.2, seed=0), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["csv", "data.csv", "data.json", "dataset"]
