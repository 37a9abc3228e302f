"""Packed pixels: a small table beside a .npy file that NumPy itself reads."""

from pathlib import Path

import numpy as np
import pytest

from classifier.common.errors import UserError
from classifier.images.packed_pixels import read_packed, write_packed

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
LABELS = np.array([0, 2, 1, 2, 0])
SHAPE = (3, 4, 6)


def write(folder: Path) -> Path:
    assert write_packed(folder, "train", SHAPE, [(IMAGES[:2], LABELS[:2]), (IMAGES[2:], LABELS[2:])]) == 5
    return folder


def test_numpy_reads_what_is_written(tmp_path: Path) -> None:
    write(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "train.npy"), IMAGES)
    assert (tmp_path / "train.csv").read_bytes() == b"row,label\n0,0\n1,2\n2,1\n3,2\n4,0\n"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    images, labels = read_packed(write(tmp_path), "train", SHAPE, 3, 5)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert (images.dtype, labels.dtype, images.flags.writeable) == (np.uint8, np.int64, False)


def test_no_rows(tmp_path: Path) -> None:
    assert write_packed(tmp_path, "test", SHAPE, []) == 0
    images, labels = read_packed(tmp_path, "test", SHAPE, 3, 0)
    assert (images.shape, labels.shape) == ((0, *SHAPE), (0,))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"row,label\n", b"label,row\n", r"line 1: needs row,label, found 'label,row"),
        (b"1,2\n", b"1,3\n", r"line 3: needs 1,<a number from 0 to 2>, found '1,3"),
        (b"1,2\n", b"2,2\n", r"line 3: needs 1,"),
        (b"1,2\n", b"1,02\n", r"line 3: needs 1,"),
        (b"1,2\n", b"1,-2\n", r"line 3: needs 1,"),
        (b"1,2\n", b"1,\xc2\xb2\n", r"line 3: needs 1,"),
        (b"1,2\n", b"1," + b"2" * 5000 + b"\n", r"line 3: needs 1,"),
        (b"4,0\n", b"", r"line 6: needs 4,<a number from 0 to 2>, found ''"),
        (b"4,0\n", b"4,0\n5,0\n", r"line 7: needs the 5 rows of schema\.json, found more"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    path = write(tmp_path) / "train.csv"
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(UserError, match=rf"train\.csv: {message}") as caught:
        read_packed(tmp_path, "train", SHAPE, 3, 5)
    assert len(str(caught.value)) < 400


def test_bad_pixels_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / "train.npy"
    with pytest.raises(
        UserError, match=r"train\.npy: needs the dimensions \(4, 3, 4, 6\) of schema\.json, found \(5, 3, 4, 6\)"
    ):
        read_packed(tmp_path, "train", SHAPE, 3, 4)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"train\.npy: not a whole \.npy file"):
        read_packed(tmp_path, "train", SHAPE, 3, 5)
    np.save(path, IMAGES.astype(np.int64))
    with pytest.raises(UserError, match=r"train\.npy: needs 4 dimensions of uint8"):
        read_packed(tmp_path, "train", SHAPE, 3, 5)
    path.unlink()
    with pytest.raises(UserError, match=r"train\.npy: no such file"):
        read_packed(tmp_path, "train", SHAPE, 3, 5)
