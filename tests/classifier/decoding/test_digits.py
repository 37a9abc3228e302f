"""The digits, against scikit-learn's own reader."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from classifier.common.errors import UserError
from classifier.decoding.digits import is_test_row, read_digits

SHIPPED = Path(sklearn.datasets.__file__).parent / "data/digits.csv.gz"
LINE = ",".join(["16"] * 64) + ",9\n"


def test_the_shipped_digits_are_what_scikit_learn_reads() -> None:
    reference = sklearn.datasets.load_digits()
    images_N188, labels_N = read_digits(SHIPPED, num_classes=10)
    assert images_N188.shape == (1797, 1, 8, 8)
    assert images_N188.dtype == np.uint8
    np.testing.assert_array_equal(labels_N, reference.target)
    np.testing.assert_array_equal(images_N188[:, 0], np.rint(reference.images * 255 / 16))


def test_ink_is_scaled_to_pixels() -> None:
    reference = sklearn.datasets.load_digits()
    images_N188, _ = read_digits(SHIPPED, num_classes=10)
    for ink, pixel in [(0, 0), (1, 16), (8, 128), (15, 239), (16, 255)]:
        assert set(images_N188[:, 0][reference.images == ink].tolist()) == {pixel}


def test_every_fifth_image_of_each_class_is_for_the_test() -> None:
    labels_N = np.array([0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 2])
    assert np.flatnonzero(is_test_row(labels_N)).tolist() == [5, 10]


def test_the_split_of_the_shipped_digits_is_stratified() -> None:
    _, labels_N = read_digits(SHIPPED, num_classes=10)
    test_N = is_test_row(labels_N)
    assert np.bincount(labels_N[test_N]).tolist() == (np.bincount(labels_N) // 5).tolist()


def write(folder: Path, text: str) -> Path:
    path = folder / "digits.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_the_highest_values_pass(tmp_path: Path) -> None:
    images_N188, labels_N = read_digits(write(tmp_path, LINE), num_classes=10)
    assert (images_N188 == 255).all()
    assert labels_N.tolist() == [9]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"digits.csv.gz: needs one image a line, found an empty file"),
        (LINE + "1,2\n", r"line 2: needs 65 numbers, found 2"),
        (LINE + "\n", r"line 2: needs 65 numbers, found 1"),
        (LINE + LINE.replace("16", "17", 1), r"line 2, column 1: needs a whole number from 0 to 16, found '17'"),
        (LINE.replace(",9", ",10"), r"line 1, column 65: needs a whole number from 0 to 9, found '10'"),
        (LINE.replace("16", "-1", 1), r"line 1, column 1: .* found '-1'"),
        (LINE.replace("16", "1.5", 1), r"line 1, column 1: .* found '1.5'"),
        (LINE.replace("16,", "16,,", 1).replace(",9", ""), r"line 1, column 2: .* found ''"),
        (LINE.replace("16", "٣", 1), r"line 1, column 1: "),
        (LINE.replace("16", "9" * 5000, 1), r"line 1, column 1: .* found '9{40}'"),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_digits(write(tmp_path, text), num_classes=10)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(SHIPPED.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"digits.csv.gz: the gzip data end early"):
        read_digits(path, num_classes=10)
