"""Folders of arrays: the same bytes as numpy.save, whole or refused."""

from pathlib import Path

import numpy as np
import pytest

from classifier.common.errors import UserError
from classifier.images.arrays import load_split, take_rows, write_split

IMAGES_NCHW = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 5), dtype=np.uint8)
LABELS_N = np.arange(10, dtype=np.int64)


def write(folder: Path) -> Path:
    """A split written in two blocks, the first with its pixels in a row."""
    blocks = [(IMAGES_NCHW[:4].reshape(4, 60), LABELS_N[:4]), (IMAGES_NCHW[4:], LABELS_N[4:])]
    write_split(folder / "train", 10, (3, 4, 5), blocks)
    return folder / "train"


def test_the_files_are_those_of_numpy(tmp_path: Path) -> None:
    folder = write(tmp_path)
    np.save(tmp_path / "images.npy", IMAGES_NCHW)
    np.save(tmp_path / "labels.npy", LABELS_N)
    assert (folder / "images.npy").read_bytes() == (tmp_path / "images.npy").read_bytes()
    assert (folder / "labels.npy").read_bytes() == (tmp_path / "labels.npy").read_bytes()


def test_loaded_by_memory_map(tmp_path: Path) -> None:
    images_NCHW, labels_N = load_split(write(tmp_path))
    np.testing.assert_array_equal(images_NCHW, IMAGES_NCHW)
    np.testing.assert_array_equal(labels_N, LABELS_N)
    assert isinstance(images_NCHW, np.memmap)
    assert not images_NCHW.flags.writeable


def test_a_split_may_be_empty(tmp_path: Path) -> None:
    write_split(tmp_path / "val", 0, (1, 28, 28), [])
    images_NCHW, labels_N = load_split(tmp_path / "val")
    assert (images_NCHW.shape, labels_N.shape) == ((0, 1, 28, 28), (0,))
    assert (images_NCHW.dtype, labels_N.dtype) == (np.uint8, np.int64)


def test_the_number_of_rows_must_be_as_said(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        write_split(tmp_path / "train", 11, (3, 4, 5), [(IMAGES_NCHW, LABELS_N)])


def test_rows_are_taken_in_order_and_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.images.arrays.BLOCK_BYTES", 2 * 60)
    images_NCHW, labels_N = load_split(write(tmp_path))
    blocks = list(take_rows(images_NCHW, labels_N, np.array([1, 3, 4, 8, 9])))
    assert [labels.tolist() for _, labels in blocks] == [[1, 3], [4, 8], [9]]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in blocks]), IMAGES_NCHW[[1, 3, 4, 8, 9]])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "labels.npy").unlink()
    with pytest.raises(UserError, match=r"train/labels.npy: no such file; run `dvc repro`"):
        load_split(folder)


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    content = (folder / "images.npy").read_bytes()
    for length in range(len(content)):
        (folder / "images.npy").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"train/images.npy: not a whole .npy file"):
            load_split(folder)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (IMAGES_NCHW.astype(np.float32), r"images.npy: needs 4 dimensions of uint8, found 4 of float32"),
        (IMAGES_NCHW.reshape(10, 60), r"images.npy: needs 4 dimensions of uint8, found 2 of uint8"),
        (IMAGES_NCHW[:9], r"train: needs a label for each of 9 images, found 10 labels"),
        (np.array([[[[object()]]]]), r"images.npy: not a whole .npy file"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    folder = write(tmp_path)
    np.save(folder / "images.npy", array, allow_pickle=array.dtype == object)
    with pytest.raises(UserError, match=message):
        load_split(folder)


def test_other_files_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "labels.npy").write_text("label\n1\n")
    with pytest.raises(UserError, match=r"labels.npy: not a whole .npy file"):
        load_split(folder)
