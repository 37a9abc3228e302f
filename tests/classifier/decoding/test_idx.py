"""The idx reader, against bytes written by hand and, with a mirror, against what is published of Fashion-MNIST."""

import gzip
import os
import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.common.errors import UserError
from classifier.decoding.idx import read_idx

IMAGES = bytes.fromhex("00000803 00000002 00000002 00000003") + bytes([0, 1, 2, 3, 4, 255, 6, 7, 8, 9, 10, 11])
LABELS = bytes.fromhex("00000801 00000002") + bytes([2, 0])


def read(folder: Path, images: bytes = IMAGES, labels: bytes = LABELS) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Write the two files and read them back as whole arrays."""
    (folder / "images").write_bytes(images)
    (folder / "labels").write_bytes(labels)
    blocks = list(read_idx(folder / "images", folder / "labels", num_classes=3))
    return np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bytes_written_by_hand(tmp_path: Path, pack: type[bytes]) -> None:
    images_N1HW, labels_N = read(tmp_path, pack(IMAGES), pack(LABELS))
    assert images_N1HW.tolist() == [[[[0, 1, 2], [3, 4, 255]]], [[[6, 7, 8], [9, 10, 11]]]]
    assert images_N1HW.dtype == np.uint8
    assert labels_N.tolist() == [2, 0]
    assert labels_N.dtype == np.int64


def test_a_gzip_file_of_several_members_is_one_stream(tmp_path: Path) -> None:
    images_N1HW, _ = read(tmp_path, gzip.compress(IMAGES[:20]) + gzip.compress(IMAGES[20:]))
    assert images_N1HW.reshape(-1).tolist() == list(IMAGES[16:])


def test_more_images_than_fit_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.images.arrays.BLOCK_BYTES", 7)
    images_N1HW, labels_N = read(tmp_path)
    assert images_N1HW.reshape(-1).tolist() == list(IMAGES[16:])
    assert labels_N.tolist() == [2, 0]


def test_a_label_out_of_range_is_numbered_over_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.images.arrays.BLOCK_BYTES", 7)
    with pytest.raises(UserError, match=r"labels: label 2 must be from 0 to 2, found 3"):
        read(tmp_path, labels=LABELS[:-1] + b"\3")


packed = gzip.compress(IMAGES, mtime=0)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (b"", r"images: not idx images: needs the magic number 0x00000803, found 0x$"),
        (b"<html>captive portal</html>", r"needs the magic number 0x00000803, found 0x3c68746d"),
        (LABELS, r"not idx images: needs the magic number 0x00000803, found 0x00000801"),
        (bytes.fromhex("00000d03") + IMAGES[4:], r"needs the magic number 0x00000803, found 0x00000d03"),
        (IMAGES[:9], r"images: needs a header of 16 bytes, found 9"),
        (IMAGES[:-1], r"images: 2 images need 12 bytes, found 11"),
        (IMAGES[:16], r"images: 2 images need 12 bytes, found 0"),
        (IMAGES + b"\0", r"images: 2 images need 12 bytes, found more"),
        (IMAGES[:4] + bytes(4) + IMAGES[8:], r"images: needs images, found none: the dimensions are \(0, 2, 3\)"),
        (IMAGES[:8] + bytes(4) + IMAGES[12:], r"needs images, found none: the dimensions are \(2, 0, 3\)"),
        (gzip.compress(IMAGES[:-1], mtime=0), r"images: 2 images need 12 bytes, found 11"),
        (packed[:-10], r"images: the gzip data end early, after \d+ bytes"),
        (packed[:-4], r"images: the gzip data end early, after 28 bytes"),
        (packed[:-8] + bytes(8), r"images: damaged gzip data: CRC check failed"),
        (packed[:10] + b"\xff" * 8 + packed[18:], r"images: damaged gzip data: "),
        (packed + b"trailing", r"images: damaged gzip data: Not a gzipped file"),
    ],
)
def test_bad_images_are_refused(tmp_path: Path, images: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, images=images)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (struct.pack(">2I", 0x801, 3) + bytes(3), r"labels: needs a label for each of 2 images, found 3 labels"),
        (LABELS[:-1], r"labels: 2 labels need 2 bytes, found 1"),
        (LABELS + b"\0", r"labels: 2 labels need 2 bytes, found more"),
        (IMAGES, r"labels: not idx labels: needs the magic number 0x00000801, found 0x00000803"),
        (LABELS[:-2] + b"\3\0", r"labels: label 1 must be from 0 to 2, found 3"),
    ],
)
def test_bad_labels_are_refused(tmp_path: Path, labels: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, labels=labels)


@pytest.mark.parametrize("shape", [(2**32 - 1, 28, 28), (1, 2**13, 2**13), (2**32 - 1, 2**26, 1)])
def test_a_header_alone_takes_no_memory(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    images = struct.pack(">4I", 0x803, *shape) + bytes(100)
    labels = struct.pack(">2I", 0x801, shape[0]) + bytes(100)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=rf"{shape[0]} images need {np.prod(shape, dtype=object)} bytes, found 100"):
            read(tmp_path, images, labels)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(1, 2**13, 2**13 + 1), (2**31, 2**31, 2**31)])
def test_images_of_too_many_pixels_are_refused(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    with pytest.raises(
        UserError, match=rf"images: needs images of at most {2**26} pixels, found dimensions {re.escape(str(shape))}"
    ):
        read(tmp_path, images=struct.pack(">4I", 0x803, *shape))


@pytest.mark.skipif("DATASET_MIRROR" not in os.environ, reason="needs DATASET_MIRROR")
def test_fashion_mnist_is_as_published() -> None:
    folder = Path(os.environ["DATASET_MIRROR"]) / "fashion_mnist"
    blocks = list(read_idx(folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz", num_classes=10))
    images_N1HW, labels_N = np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])
    assert images_N1HW.shape == (60000, 1, 28, 28)
    assert np.bincount(labels_N).tolist() == [6000] * 10
    # the constants that are in everybody's Fashion-MNIST code
    assert images_N1HW.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert images_N1HW.std() / 255 == pytest.approx(0.3530, abs=5e-5)
