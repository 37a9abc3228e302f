"""Stage `convert`: raw files in, Kaggle tables and schema.json out; memory does not follow the number of images."""

import json
import shutil
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image

from classifier.common.errors import UserError
from stages.convert import main
from tests.support.data_params import convert_params

CLASSES = ["cat", "dog", "fish"]
IDX_FILES = {role: role.replace("_", "-") for role in ("train_images", "train_labels", "test_images", "test_labels")}


def describe(root: Path, format: str, classes: list[str], files: dict[str, str], hflip_invariant: bool = True) -> None:
    (root / "data/raw").mkdir(parents=True, exist_ok=True)
    description = {"dataset": "some", "format": format, "classes": classes, "hflip_invariant": hflip_invariant, "files": files}
    (root / "data/raw/raw.json").write_text(json.dumps(description))


def write_idx(root: Path, num_train: int, num_test: int, side: int = 6) -> dict[str, NDArray[np.uint8]]:
    """Random images as idx files; returns the arrays by role."""
    describe(root, "idx", CLASSES, IDX_FILES)
    rng = np.random.default_rng(0)
    arrays = {}
    for split, num_images in (("train", num_train), ("test", num_test)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (num_images, side, side), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.integers(0, len(CLASSES), num_images, dtype=np.uint8)
    for role, array in arrays.items():
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (root / "data/raw" / IDX_FILES[role]).write_bytes(header + array.tobytes())
    return arrays


@pytest.mark.parametrize("split", ["train", "test"])
def test_idx_images_in_the_kaggle_layout(tmp_path: Path, split: str) -> None:
    arrays = write_idx(tmp_path, 30, 20)
    main(convert_params(image_size=6), tmp_path)
    table = pd.read_csv(tmp_path / f"data/csv/{split}.csv")
    assert list(table.columns) == ["label", *(f"pixel{number}" for number in range(1, 37))]
    np.testing.assert_array_equal(table["label"], arrays[f"{split}_labels"])
    np.testing.assert_array_equal(table.drop(columns="label"), arrays[f"{split}_images"].reshape(-1, 36))


@pytest.mark.parametrize("hflip_invariant", [True, False])
def test_schema_says_what_is_in_the_tables(tmp_path: Path, hflip_invariant: bool) -> None:
    write_idx(tmp_path, 30, 20)
    describe(tmp_path, "idx", CLASSES, IDX_FILES, hflip_invariant)
    main(convert_params(image_size=6), tmp_path)
    assert json.loads((tmp_path / "data/csv/schema.json").read_text()) == {
        "dataset": "some",
        "classes": CLASSES,
        "shape_CHW": [1, 6, 6],
        "hflip_invariant": hflip_invariant,
        "pixel_order": "CHW",
        "rows": {"train": 30, "test": 20},
    }


def test_images_are_resized(tmp_path: Path) -> None:
    arrays = write_idx(tmp_path, 3, 2)
    main(convert_params(image_size=4), tmp_path)
    table = pd.read_csv(tmp_path / "data/csv/train.csv").drop(columns="label")
    reference = [
        np.asarray(Image.fromarray(image).resize((4, 4), Image.Resampling.BILINEAR)) for image in arrays["train_images"]
    ]
    np.testing.assert_array_equal(table, np.reshape(reference, (3, 16)))
    assert json.loads((tmp_path / "data/csv/schema.json").read_text())["shape_CHW"] == [1, 4, 4]


def test_digits(tmp_path: Path) -> None:
    describe(tmp_path, "digits", [str(digit) for digit in range(10)], {"images": "digits.csv.gz"})
    shutil.copy(Path(sklearn.datasets.__file__).parent / "data/digits.csv.gz", tmp_path / "data/raw")
    main(convert_params(image_size=8), tmp_path)
    reference = sklearn.datasets.load_digits()
    tables = {split: pd.read_csv(tmp_path / f"data/csv/{split}.csv") for split in ("train", "test")}
    rows = json.loads((tmp_path / "data/csv/schema.json").read_text())["rows"]
    assert rows == {"train": 1442, "test": 355}
    for digit in range(10):
        pixels = np.rint(reference.data[reference.target == digit] * 255 / 16)
        is_fifth = np.arange(1, len(pixels) + 1) % 5 == 0
        for split, expected in (("train", pixels[~is_fifth]), ("test", pixels[is_fifth])):
            found = tables[split].query("label == @digit").drop(columns="label")
            np.testing.assert_array_equal(found, expected)


def test_the_same_bytes_again(tmp_path: Path) -> None:
    write_idx(tmp_path, 30, 20)
    contents = []
    for _ in range(2):
        main(convert_params(image_size=5), tmp_path)
        contents.append([file.read_bytes() for file in sorted((tmp_path / "data/csv").iterdir())])
    assert contents[0] == contents[1]


def test_bad_files_leave_what_was_there(tmp_path: Path) -> None:
    write_idx(tmp_path, 30, 20)
    main(convert_params(image_size=6), tmp_path)
    before = (tmp_path / "data/csv/test.csv").read_bytes()
    path = tmp_path / "data/raw/test-images"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"data/raw/test-images: 20 images need 720 bytes, found 719$"):
        main(convert_params(image_size=6), tmp_path)
    assert sorted(file.name for file in (tmp_path / "data").iterdir()) == ["csv", "raw"]
    assert (tmp_path / "data/csv/test.csv").read_bytes() == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path, 3, 2)
    (tmp_path / "data/raw/test-labels").unlink()
    with pytest.raises(FileNotFoundError, match=r"test-labels"):
        main(convert_params(image_size=6), tmp_path)
    assert not (tmp_path / "data/csv").exists()


@pytest.mark.parametrize("image_size", [28, 20], ids=["as they are", "resized"])
def test_memory_does_not_follow_the_number_of_images(tmp_path: Path, image_size: int) -> None:
    def peak_bytes(num_images: int) -> int:
        root = tmp_path / str(num_images)
        write_idx(root, num_images, 1, side=28)
        tracemalloc.start()
        try:
            main(convert_params(image_size=image_size), root)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_of_2000 = peak_bytes(2000)
    assert peak_bytes(8000) < 1.1 * peak_of_2000
    assert peak_of_2000 < 20 * 2**20


def test_torch_is_not_imported() -> None:
    program = "import sys, stages.convert; print({'torch', 'torchvision', 'sklearn', 'pandas'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
