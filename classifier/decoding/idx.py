"""The idx format of MNIST and its kin: a magic number, the dimensions, then one unsigned byte per item.

The magic number is two zero bytes, the type (8: unsigned byte) and the number of dimensions; each dimension is a big-endian
32-bit number (LeCun, Cortes & Burges, "The MNIST database of handwritten digits").
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError
from classifier.decoding.compressed import ByteReader, open_gzip
from classifier.images.arrays import Block, Labels, row_slices

UNSIGNED_BYTE = 8
MAX_PIXELS = 2**26
"""Of one image. Each is held in memory whole, and a few kilobytes of gzip data can unpack to gigabytes."""
NOUNS = {1: "labels", 3: "images"}


def read_idx(images_path: Path, labels_path: Path, num_classes: int) -> Iterator[Block]:
    """Yield blocks of images_N1HW and labels_N from a pair of idx files, each plain or gzip-compressed.

    Raises UserError for files that are not idx of unsigned bytes, are empty, are shorter or longer than their header says or do
    not fit together, and for labels from `num_classes` on. Memory follows the bytes that are there, never what a header claims.
    """
    with open_gzip(images_path) as images_reader, open_gzip(labels_path) as labels_reader:
        images = _IdxFile(images_path, images_reader, num_dims=3)
        labels = _IdxFile(labels_path, labels_reader, num_dims=1)
        num_images, height, width = images.shape
        if labels.shape != (num_images,):
            raise UserError(f"{labels_path}: needs a label for each of {num_images} images, found {labels.shape[0]} labels")
        for rows in row_slices(num_images, height * width):
            num_rows = rows.stop - rows.start
            images_N1HW = images.read(num_rows).reshape(num_rows, 1, height, width)
            labels_N = labels.read(num_rows).astype(np.int64)
            _check_unknown_labels(labels_path, labels_N, rows.start, num_classes)
            yield images_N1HW, labels_N
        images.finish()
        labels.finish()


class _IdxFile:
    """An idx file of unsigned bytes, read from front to back. `shape` is what its header says."""

    def __init__(self, path: Path, reader: ByteReader, num_dims: int) -> None:
        self._path = path
        self._reader = reader
        self._header_bytes = 4 + 4 * num_dims
        self.shape = self._read_header(num_dims)

    def read(self, num_items: int) -> NDArray[np.uint8]:
        """The next `num_items` items, of shape (num_items, …). Raises UserError when the file ends before."""
        shape = (num_items, *self.shape[1:])
        content = self._reader.read(math.prod(shape))
        if len(content) < math.prod(shape):
            raise UserError(f"{self._path}: {self._needs()}, found {self._reader.num_read - self._header_bytes}")
        return np.frombuffer(content, dtype=np.uint8).reshape(shape)

    def finish(self) -> None:
        """Raise UserError when anything comes after the last item, or gzip data do not have their checksum."""
        if self._reader.read(1):
            raise UserError(f"{self._path}: {self._needs()}, found more")

    def _read_header(self, num_dims: int) -> tuple[int, ...]:
        noun = NOUNS[num_dims]
        header = self._reader.read(self._header_bytes)
        magic = bytes([0, 0, UNSIGNED_BYTE, num_dims])
        if header[:4] != magic:
            needed, found = magic.hex(), header[:4].hex()
            raise UserError(f"{self._path}: not idx {noun}: needs the magic number 0x{needed}, found 0x{found}")
        if len(header) < self._header_bytes:
            raise UserError(f"{self._path}: needs a header of {self._header_bytes} bytes, found {len(header)}")
        shape = struct.unpack(f">{num_dims}I", header[4:])
        if 0 in shape:
            raise UserError(f"{self._path}: needs {noun}, found none: the dimensions are {shape}")
        if math.prod(shape[1:]) > MAX_PIXELS:
            raise UserError(f"{self._path}: needs {noun} of at most {MAX_PIXELS} pixels, found dimensions {shape}")
        return shape

    def _needs(self) -> str:
        return f"{self.shape[0]} {NOUNS[len(self.shape)]} need {math.prod(self.shape)} bytes"


def _check_unknown_labels(path: Path, labels_N: Labels, first: int, num_classes: int) -> None:
    wrong = np.flatnonzero(labels_N >= num_classes)
    if len(wrong):
        label = labels_N[wrong[0]]
        raise UserError(f"{path}: label {first + wrong[0] + 1} must be from 0 to {num_classes - 1}, found {label}")
