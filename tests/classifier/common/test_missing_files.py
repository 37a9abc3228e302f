"""A file that is not there is named with what to do about it."""

from pathlib import Path

import pytest

from classifier.common.errors import UserError
from classifier.images.table import read_table
from classifier.sources.catalogue import load_dataset


def test_the_catalogue(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file; `source` in params\.yaml names the catalogue"):
        load_dataset(tmp_path / "nowhere.yaml", "mnist")


def test_a_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.csv: no such file; run `dvc repro` to make it"):
        next(read_table(tmp_path / "train.csv", num_pixels=1, num_classes=2, num_rows=1))
