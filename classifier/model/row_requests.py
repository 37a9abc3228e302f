"""Rows of an array that is mapped from a file, of which memory holds a part only: asked for before they are read.

The system reads far more than it is asked for, up to megabytes around each page. Of a file that fits into memory, one pass
brings in all of it that way. Of a larger one it is in vain: what came with a row is gone again before its turn. There a row's
own pages are read, and those of a whole batch at once, so that the disk has many to bring and not one after the other
(benchmarks/scale.md has both measured).
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

SHARE_OF_MEMORY = 0.5
"""A file that takes more than this of the memory counts as larger than it: other things need room too."""
LONGEST_REQUEST = 2**17
"""Bytes: of a longer request Linux reads no more than it reads ahead, by default so many."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells the limit of a container: control groups of version 2 and 1."""


class RowRequests:
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
