"""Rows of a file larger than memory are asked for: the right pages, once each, and the rows themselves stay what they are."""

import mmap
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.images.arrays import load_array, write_split
from classifier.model import dataset as row_requests
from classifier.model.dataset import ImageDataset, ReadAhead, memory_bytes, page_spans

SHAPE_CHW = (1, 28, 28)
IMAGES_NCHW = np.random.default_rng(0).integers(0, 256, (200, *SHAPE_CHW), dtype=np.uint8)


def spans(*rows: int, **sizes: int) -> list[tuple[int, int]]:
    return list(page_spans(np.array(rows, dtype=np.int64), **({"row_bytes": 10, "page_bytes": 100} | sizes)))


def test_a_row_is_in_its_page() -> None:
    assert spans(3) == [(0, 40)]
    assert spans(12) == [(100, 130)]
    assert spans(3, first_byte=65) == [(0, 105)]


def test_neighbours_are_asked_for_together() -> None:
    assert spans(4, 2, 3) == [(0, 50)]
    assert spans(25, 2) == [(0, 30), (200, 260)]
    assert spans(2, 19, 10) == [(0, 30), (100, 200)]
    assert spans() == []


def test_consecutive_rows_are_one_request() -> None:
    assert spans(*range(5, 500)) == [(0, 5000)]


@given(st.lists(st.integers(0, 300)), st.integers(1, 250), st.integers(0, 250))
def test_every_byte_of_every_row_is_in_one_span_and_no_page_is_in_two(rows: list[int], row_bytes: int, first_byte: int) -> None:
    found = spans(*rows, row_bytes=row_bytes, first_byte=first_byte)
    needed = {first_byte + row * row_bytes + byte for row in rows for byte in range(row_bytes)}
    asked_for = [byte for start, stop in found for byte in range(start, stop)]
    assert needed <= set(asked_for)
    assert len(asked_for) == len(set(asked_for))
    assert {byte // 100 for byte in asked_for} == {byte // 100 for byte in needed}
    assert all(start % 100 == 0 for start, _ in found)


class Asked:
    """Stands for the map, and notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def madvise(self, *call: int) -> None:
        self.calls.append(call)


def test_rows_counted_from_the_end_are_the_same_rows() -> None:
    asked: Any = Asked()
    requests = ReadAhead(np.zeros((20, mmap.PAGESIZE), dtype=np.uint8), asked, 0)
    requests.ask_for(np.array([-1, 3]))
    last = (mmap.MADV_WILLNEED, 19 * mmap.PAGESIZE, mmap.PAGESIZE)
    assert asked.calls == [(mmap.MADV_RANDOM,), (mmap.MADV_WILLNEED, 3 * mmap.PAGESIZE, mmap.PAGESIZE), last]


def test_a_long_request_is_made_in_pieces() -> None:
    """Of 64 KiB rows, three are a request of 128 KiB and one of 64."""
    asked: Any = Asked()
    ReadAhead(np.zeros((8, 2**16), dtype=np.uint8), asked, 0).ask_for(np.arange(2, 5))
    assert asked.calls[1:] == [(mmap.MADV_WILLNEED, 2**17, 2**17), (mmap.MADV_WILLNEED, 2**18, 2**16)]


def test_a_system_that_refuses_hints_reads_as_before() -> None:
    class Refusing:
        def madvise(self, *_: int) -> None:
            raise OSError(22, "Invalid argument")

    mapped: Any = Refusing()
    ReadAhead(np.zeros((8, 4096), dtype=np.uint8), mapped, 0).ask_for(np.arange(2, 5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_split(tmp_path / "split", 200, SHAPE_CHW, [(IMAGES_NCHW, np.arange(200) % 10)])
    return tmp_path / "split"


def test_a_file_that_fits_into_memory_is_left_to_the_system(folder: Path) -> None:
    assert ReadAhead.of_large(load_array(folder / "images.npy", np.dtype("|u1"), 4)) is None
    assert ReadAhead.of_large(IMAGES_NCHW) is None


def test_a_file_of_more_than_half_of_the_memory_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images_NCHW = load_array(folder / "images.npy", np.dtype("|u1"), 4)
    file_bytes = (folder / "images.npy").stat().st_size
    monkeypatch.setattr(row_requests, "memory_bytes", lambda: 2 * file_bytes)
    assert ReadAhead.of_large(images_NCHW) is None
    monkeypatch.setattr(row_requests, "memory_bytes", lambda: 2 * file_bytes - 2)
    for part, first_byte in ((images_NCHW, 128), (images_NCHW[50:], 128 + 50 * 784)):
        requests = ReadAhead.of_large(part)
        assert requests
        assert (requests.first_byte, requests.row_bytes) == (first_byte, 784)
    assert ReadAhead.of_large(images_NCHW[::2]) is None
    assert ReadAhead.of_large(images_NCHW[:0]) is None


def test_batches_are_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_requests, "memory_bytes", lambda: 0)
    dataset = ImageDataset.from_folder(folder)
    for rows in (np.random.default_rng(1).permutation(200)[:64], np.arange(30, 60), np.array([], dtype=np.int64)):
        images_NCHW, labels_N = dataset.batch(rows)
        np.testing.assert_array_equal(images_NCHW.numpy(), IMAGES_NCHW[rows])
        np.testing.assert_array_equal(labels_N.numpy(), rows % 10)
    with pytest.raises(IndexError):
        dataset.batch(np.array([200]))
    copied = pickle.loads(pickle.dumps(dataset))  # as a DataLoader hands it to its processes
    np.testing.assert_array_equal(copied.batch(np.arange(7))[0].numpy(), IMAGES_NCHW[:7])


@pytest.mark.parametrize(("text", "limit"), [("4096\n", 4096), ("max\n", None), (None, None)])
def test_the_limit_of_a_container(text: str | None, limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "memory.max"
    monkeypatch.setattr(row_requests, "LIMITS", (file,))
    if text:
        file.write_text(text)
    machine = 1024 * int(Path("/proc/meminfo").read_text().split()[1])
    assert memory_bytes() == pytest.approx(limit or machine, rel=0.01)
