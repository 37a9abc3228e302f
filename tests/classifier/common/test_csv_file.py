"""The small tables come back as they were written."""

from pathlib import Path

import pandas as pd
import pytest

from classifier.common.csv_file import read_csv, write_csv
from classifier.common.errors import UserError


def test_class_names_stay_text_whatever_they_look_like(tmp_path: Path) -> None:
    names = ["NA", "007", "a,b", 'say "x"', "null", "1e3", "お", ""]
    table = pd.DataFrame({"class": names, "f1": [0.5] * len(names)})
    write_csv(tmp_path / "t.csv", table)
    assert read_csv(tmp_path / "t.csv", ["class", "f1"])["class"].to_list() == names


def test_six_significant_digits_and_unix_line_ends(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"epoch": [1], "loss": [1.23456789]}))
    assert (tmp_path / "t.csv").read_bytes() == b"epoch,loss\n1,1.23457\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not readable as CSV"),
        (b'a,b\n1,2,3\n4\n"', "not readable as CSV|needs the column"),
        (b"epoch\n", "needs a row at least, found 0 rows of epoch"),
        (b"epoch\n1\n", "needs the column 'loss', found 1 rows of epoch"),
        (b"epoch,loss\n\xff,1\n", "not readable as CSV"),
    ],
)
def test_a_broken_table_is_refused_on_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_csv(tmp_path / "t.csv", ["epoch"] if b"loss" not in content and b"1\n" not in content else ["epoch", "loss"])
    assert "\n" not in str(caught.value)


def test_a_missing_table_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t\.csv: no such file; run `dvc repro`"):
        read_csv(tmp_path / "t.csv", ["epoch"])
