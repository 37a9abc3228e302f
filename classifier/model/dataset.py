"""A split as a PyTorch data set; of files larger than memory, rows are asked for before they are read."""

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from classifier.common.errors import UserError
from classifier.images.arrays import Labels, load_split
from classifier.images.schema import Described

SHARE_OF_MEMORY = 0.5
"""A file that takes more than this of the memory counts as larger than it: other things need room too."""
LONGEST_REQUEST = 2**17
"""Bytes: of a longer request Linux reads no more than it reads ahead, by default so many."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells the limit of a container: control groups of version 2 and 1."""


class ReadAhead:
    """Asks for rows of `array`, which is a part of the map `mapped`, begins at its byte `first_byte` and has no gaps."""

    def __init__(self, array: NDArray[Any], mapped: mmap.mmap, first_byte: int) -> None:
        self.num_rows, self.row_bytes = len(array), array[:1].nbytes
        self.mapped, self.first_byte = mapped, first_byte
        with suppress(OSError):  # a system that refuses a hint reads as before
            mapped.madvise(mmap.MADV_RANDOM)  # from now on no neighbours are read

    @classmethod
    def of_large(cls, array: NDArray[Any]) -> Self | None:
        """None unless `array` is mapped from a file larger than its share of the memory, and the system takes such requests."""
        mapped = _map_of(array)
        if mapped is None or not len(array) or not hasattr(mmap, "MADV_RANDOM") or not array.flags.c_contiguous:
            return None
        if len(mapped) <= SHARE_OF_MEMORY * memory_bytes():
            return None
        return cls(array, mapped, array.ctypes.data - np.frombuffer(mapped, dtype=np.uint8).ctypes.data)

    def ask_for(self, rows_N: NDArray[np.int64]) -> None:
        """Have the system begin to read these rows; this waits for none of them."""
        rows_N = rows_N % self.num_rows
        for start, stop in page_spans(rows_N, self.row_bytes, self.first_byte):
            for piece in range(start, stop, LONGEST_REQUEST):
                with suppress(OSError):
                    self.mapped.madvise(mmap.MADV_WILLNEED, piece, min(LONGEST_REQUEST, stop - piece))


def page_spans(
    rows_N: NDArray[np.int64], row_bytes: int, first_byte: int = 0, page_bytes: int = mmap.PAGESIZE
) -> Iterator[tuple[int, int]]:
    """The bytes from start to stop, without gaps or overlaps, that hold the rows: each start is that of a page."""
    if not len(rows_N):
        return
    sorted_N = np.sort(rows_N)
    starts_N = (first_byte + sorted_N * row_bytes) // page_bytes * page_bytes
    stops_N = first_byte + (sorted_N + 1) * row_bytes
    is_first_N = np.concatenate(([True], starts_N[1:] > stops_N[:-1]))
    is_last_N = np.concatenate((is_first_N[1:], [True]))
    yield from zip(starts_N[is_first_N].tolist(), stops_N[is_last_N].tolist(), strict=True)


def memory_bytes() -> int:
    """Of the machine, or of the container that this process is in where that may use less."""
    limits = [limit for path in LIMITS if (limit := _limit(path)) is not None]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits])


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # "max" where there is none


def _map_of(array: NDArray[Any]) -> mmap.mmap | None:
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner if isinstance(owner, mmap.mmap) else None


Sample = tuple[Tensor, int]
"""An image_CHW of uint8, 0 to 255, and its label."""


class ImageDataset(Dataset[Sample]):
    """Images and labels as they are stored: neither scaled nor standardised, which is faster done for a batch on the device.

    In place of the bytes of images there may be features of them, floats in the same four dimensions.

    The arrays may be read-only memory maps, also of files larger than memory; every sample and batch is a copy. An index out of
    range raises IndexError.
    """

    def __init__(self, images_NCHW: NDArray[Any], labels_N: Labels) -> None:
        if images_NCHW.ndim != 4 or labels_N.shape != images_NCHW.shape[:1]:
            raise ValueError(f"needs images_NCHW and as many labels_N, got {images_NCHW.shape} and {labels_N.shape}")
        _, channels, height, width = images_NCHW.shape
        self.shape_CHW = (channels, height, width)
        self.images_NCHW = images_NCHW
        self.labels_N = labels_N
        self._requests = ReadAhead.of_large(images_NCHW)

    def __getstate__(self) -> dict[str, object]:
        """For another process, as a DataLoader starts them: it gets the arrays, and no map to ask for rows of."""
        return self.__dict__ | {"_requests": None}

    @classmethod
    def from_folder(cls, folder: Path, described: Described | None = None) -> Self:
        """The split in `folder`, memory-mapped.

        Raises UserError when it is not one (images.arrays.load_split), and when its images have another shape or its labels
        belong to more classes than `described`.
        """
        dataset = cls(*load_split(folder))
        if described:
            dataset._check_misfits(folder, described)
        return dataset

    def _check_misfits(self, folder: Path, described: Described) -> None:
        if self.shape_CHW != described.shape_CHW:
            raise UserError(f"{folder}: needs images of shape {described.shape_CHW}, found {self.shape_CHW}; run `dvc repro`")
        num_classes = len(described.classes)
        wrong = self.labels_N[(self.labels_N < 0) | (self.labels_N >= num_classes)]
        if len(wrong):
            raise UserError(f"{folder}: needs labels from 0 to {num_classes - 1}, found {wrong[0]}; run `dvc repro`")

    def __len__(self) -> int:
        return len(self.labels_N)

    def __getitem__(self, index: int) -> Sample:
        return torch.from_numpy(self.images_NCHW[index].copy()), int(self.labels_N[index])

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """The samples of one batch, for a DataLoader with its default collate function."""
        images_NCHW, labels_N = self.batch(np.asarray(indices, dtype=np.int64))
        return list(zip(images_NCHW, labels_N.tolist(), strict=True))

    def batch(self, indices: Tensor | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images_NCHW (uint8) and labels_N (int64) for a one-dimensional array of indices, in its order."""
        rows = np.asarray(indices)
        if self._requests:
            self._requests.ask_for(rows)
        return torch.from_numpy(self.images_NCHW[rows]), torch.from_numpy(self.labels_N[rows])
