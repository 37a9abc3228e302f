"""A person's arrays in a .npz file: MedMNIST's names, train_images and train_labels, or Keras', x_train and y_train.

Read block by block out of the archive, and never unpickled. Legend: N rows of a block, P pixels of an image.
"""

import math
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from classifier.common.errors import UserError, short_message
from classifier.images.arrays import BAD_HEADER_ERRORS
from classifier.images.schema import MAX_PIXELS, DatasetSplit
from classifier.sources.files import check_no_pointer
from classifier.sources.rows import Rows

NAMES: dict[DatasetSplit, tuple[tuple[str, str], ...]] = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "val": (("val_images", "val_labels"), ("x_val", "y_val")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
PIECE_BYTES = 2**22
MAX_ROWS = 2**28


@dataclass(frozen=True)
class Arrays:
    """The members of one split; `labels` is None where there are none."""

    images: str
    labels: str | None


def find_arrays(path: Path) -> dict[DatasetSplit, Arrays]:
    """By split, what the archive at `path` has. Raises UserError for one that has no images to train on, or is damaged."""
    with _opened(path) as archive:
        members = {name.removesuffix(".npy") for name in archive.namelist()}
    found: dict[DatasetSplit, Arrays] = {}
    for split, pairs in NAMES.items():
        for images, labels in pairs:
            if images in members:
                found[split] = Arrays(images, labels if labels in members else None)
                break
    if "train" not in found or found["train"].labels is None:
        held = ", ".join(sorted(members)[:6]) or "nothing"
        raise UserError(f"{path}: needs the arrays train_images and train_labels (or x_train and y_train), found {held}")
    return found


def find_images(path: Path) -> Arrays:
    """The images to be predicted in the archive at `path`: those to test on, or all that it has."""
    with _opened(path) as archive:
        members = [name.removesuffix(".npy") for name in archive.namelist()]
    names = [name for name in (*(pair[0] for pair in NAMES["test"]), "images", "x") if name in members]
    if not names and len(members) != 1:
        raise UserError(
            f"{path}: needs an array test_images, x_test or images, found {', '.join(sorted(members)[:6]) or 'nothing'}"
        )
    return Arrays((names or members)[0], None)


def read_arrays(path: Path, arrays: Arrays) -> Iterator[Rows]:
    """Images and labels in blocks of some megabytes, pixels channel by channel. Raises UserError for other kinds of arrays."""
    with _opened(path) as archive:
        labels_N = _labels(path, archive, arrays.labels) if arrays.labels else None
        with _member(path, archive, arrays.images) as (file, shape, dtype):
            where = f"{path}: {arrays.images}"
            if dtype.kind not in "uif" or len(shape) not in (3, 4) or 0 in shape[1:]:
                raise UserError(f"{where}: needs images of N×height×width, or ×3 for colours, found {dtype} of shape {shape}")
            channels = 1 if len(shape) == 3 else shape[3]
            if channels not in (1, 3) or math.prod(shape[1:]) > MAX_PIXELS:
                raise UserError(
                    f"{where}: needs 1 or 3 channels, as the last dimension, and at most {MAX_PIXELS} pixels, found {shape}"
                )
            if labels_N is not None and len(labels_N) != shape[0]:
                raise UserError(f"{where}: needs a label for each of {shape[0]} images, found {len(labels_N)} labels")
            row_bytes = math.prod(shape[1:]) * dtype.itemsize
            step = max(1, PIECE_BYTES // row_bytes)
            for start in range(0, shape[0], step):
                stop = min(start + step, shape[0])
                block = np.frombuffer(_exactly(where, file, (stop - start) * row_bytes), dtype).reshape(
                    stop - start, *shape[1:]
                )
                if channels == 3:
                    block = block.transpose(0, 3, 1, 2)
                pixels_NP = block.reshape(stop - start, -1)
                if pixels_NP.dtype.kind == "f" and not np.isfinite(pixels_NP).all():
                    raise UserError(f"{where}: needs numbers, found NaN or infinity in rows {start} to {stop - 1}")
                kind = np.float64 if dtype.kind == "f" else np.int64
                yield Rows(labels_N[start:stop] if labels_N is not None else None, None, pixels_NP.astype(kind))


def image_shape(path: Path, arrays: Arrays) -> tuple[int, int, int]:
    """Channels, height and width of the images."""
    with _opened(path) as archive, _member(path, archive, arrays.images) as (_, shape, _):
        height, width = shape[1:3]
        return shape[3] if len(shape) == 4 else 1, height, width


def _opened(path: Path) -> zipfile.ZipFile:
    check_no_pointer(path)
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: not a whole .npz file: {short_message(error)}") from None


@contextmanager
def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], "np.dtype[Any]"]]:
    """The bytes of an array, after its header, which says shape and type. Raises UserError for what is no such array."""
    try:
        with archive.open(f"{name}.npy") as file:
            with warnings.catch_warnings(action="error"):
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, fortran_order, dtype = read(file)
            if dtype.hasobject:
                raise UserError(f"{path}: {name}: needs numbers, found Python objects, which are never unpickled")
            if fortran_order and len(shape) > 1:
                raise UserError(f"{path}: {name}: needs C order, found Fortran order; save numpy.ascontiguousarray of it")
            yield file, shape, dtype
    except UserError:
        raise
    except (*BAD_HEADER_ERRORS, zipfile.BadZipFile, zlib.error, NotImplementedError, KeyError, RuntimeError) as error:
        raise UserError(f"{path}: {name}: not a whole array: {short_message(error)}") from None


def _labels(path: Path, archive: zipfile.ZipFile, name: str) -> list[str]:
    with _member(path, archive, name) as (file, shape, dtype):
        where = f"{path}: {name}"
        if len(shape) == 2 and shape[1] > 1:
            raise UserError(f"{where}: needs one label an image, found {shape[1]}: several labels an image are not supported")
        if len(shape) not in (1, 2) or 0 in shape[1:] or dtype.kind not in "uiU" or shape[0] > MAX_ROWS:
            raise UserError(f"{where}: needs one whole number or name an image, found {dtype} of shape {shape}")
        content = _exactly(where, file, shape[0] * dtype.itemsize)
        return [str(label) for label in np.frombuffer(content, dtype).tolist()]


def _exactly(where: str, file: IO[bytes], num_bytes: int) -> bytes:
    content = file.read(num_bytes)
    if len(content) < num_bytes:
        raise UserError(f"{where}: ends too early: {num_bytes} bytes needed, {len(content)} found")
    return content
