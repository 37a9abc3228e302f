"""CSV tables: written as pandas writes them; read exactly as a reader made from the csv module reads them, or refused."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifier.common.errors import UserError
from classifier.images.arrays import BLOCK_BYTES, Block
from classifier.images.table import _parse_fast, label_texts, parse_lines, read_table, write_table
from classifier.images.table_header import column_names
from tests.support.csv_tables import PIECES, read_by_csv_module

per_example = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


def random_block(num_rows: int, num_pixels: int, num_classes: int = 10, seed: int = 0) -> Block:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (num_rows, num_pixels), dtype=np.uint8), rng.integers(0, num_classes, num_rows)


def pandas_text(pixels_NP: NDArray[np.uint8], labels_N: NDArray[np.int64]) -> bytes:
    table = pd.DataFrame(pixels_NP, columns=[f"pixel{number}" for number in range(1, pixels_NP.shape[1] + 1)])
    table.insert(0, "label", labels_N)
    return table.to_csv(index=False, lineterminator="\n").encode()


def read_text(path: Path, text: bytes, num_pixels: int, num_classes: int, num_rows: int, block_bytes: int = 2**19) -> Block:
    path.write_bytes(text)
    blocks = list(read_table(path, num_pixels, num_classes, num_rows, block_bytes))
    return np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])


@pytest.mark.parametrize(("num_rows", "num_pixels"), [(1, 1), (7, 784), (5000, 12), (300, 3072), (2, 400_000)])
def test_written_as_pandas_writes(tmp_path: Path, num_rows: int, num_pixels: int) -> None:
    pixels_NP, labels_N = random_block(num_rows, num_pixels)
    cut = num_rows // 3
    blocks = [(pixels_NP[:cut], labels_N[:cut]), (pixels_NP[cut:], labels_N[cut:])]
    assert write_table(tmp_path / "table.csv", num_pixels, blocks) == num_rows
    assert (tmp_path / "table.csv").read_bytes() == pandas_text(pixels_NP, labels_N)


def test_every_pixel_and_labels_of_any_width(tmp_path: Path) -> None:
    labels_N = np.array([0, 9, 10, 255, 256, 999, 1000, 65536, 2**63 - 1])
    pixels_NP = np.resize(np.arange(256, dtype=np.uint8), (len(labels_N), 256))
    write_table(tmp_path / "table.csv", 256, [(pixels_NP, labels_N)])
    assert (tmp_path / "table.csv").read_bytes() == pandas_text(pixels_NP, labels_N)


def test_channels_are_written_one_after_the_other(tmp_path: Path) -> None:
    images_NCHW = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2)
    write_table(tmp_path / "table.csv", 12, [(images_NCHW, np.array([5]))])
    assert (tmp_path / "table.csv").read_text().splitlines()[1] == "5,0,1,2,3,4,5,6,7,8,9,10,11"


def test_a_large_block_is_written_piece_by_piece(tmp_path: Path) -> None:
    block = (np.zeros((20_000, 784), dtype=np.uint8), np.zeros(20_000, dtype=np.int64))
    tracemalloc.start()
    try:
        write_table(tmp_path / "table.csv", 784, [block])
        assert tracemalloc.get_traced_memory()[1] < 5 * BLOCK_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("block_bytes", [1, 100, 5000, 2**19])
@pytest.mark.parametrize(("num_rows", "num_pixels", "num_classes"), [(1, 1, 2), (300, 9, 3000), (40, 784, 10)])
def test_read_as_pandas_reads(tmp_path: Path, num_rows: int, num_pixels: int, num_classes: int, block_bytes: int) -> None:
    pixels_NP, labels_N = random_block(num_rows, num_pixels, num_classes)
    text = pandas_text(pixels_NP, labels_N)
    found_pixels, found_labels = read_text(tmp_path / "table.csv", text, num_pixels, num_classes, num_rows, block_bytes)
    reference = pd.read_csv(io.BytesIO(text))
    np.testing.assert_array_equal(found_labels, reference["label"])
    np.testing.assert_array_equal(found_pixels, reference.drop(columns="label"))
    assert (found_pixels.dtype, found_labels.dtype) == (np.uint8, np.int64)


GOOD = b"label,pixel1,pixel2\n1,10,255\n0,0,7\n2,99,100\n"
GOOD_BLOCK = ([[10, 255], [0, 7], [99, 100]], [1, 0, 2])


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.rstrip(b"\n"),
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\r\n").rstrip(b"\r\n"),
        b"\xef\xbb\xbf" + GOOD,
    ],
    ids=["plain", "no last line end", "CRLF", "CRLF but for the last", "byte order mark"],
)
@pytest.mark.parametrize("block_bytes", [1, 2**19])
def test_spellings_of_a_file_that_are_allowed(tmp_path: Path, text: bytes, block_bytes: int) -> None:
    pixels_NP, labels_N = read_text(tmp_path / "table.csv", text, 2, 3, 3, block_bytes)
    assert (pixels_NP.tolist(), labels_N.tolist()) == GOOD_BLOCK


@pytest.mark.parametrize("block_bytes", [1, 2**19])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (GOOD, b"", r"table.csv: needs the header label,pixel1,…,pixel2, found an empty file"),
        (GOOD, b"label,pixel1,pixel2\n", r"table.csv: needs the 3 rows of schema.json, found 0"),
        (b"0,0,7\n", b"", r"table.csv: needs the 3 rows of schema.json, found 2"),
        (b"0,0,7\n", b"0,0,7\n0,0,7\n", r"table.csv: line 5: needs the 3 rows of schema.json, found more"),
        (b"pixel1,", b"", r"table.csv: line 1, column 2: needs 'pixel1', found 'pixel2'"),
        (b",pixel2", b"", r"line 1, column 3: needs 'pixel2', found none"),
        (b"pixel2\n", b"pixel2,pixel3\n", r"line 1, column 4: needs no more columns, found 'pixel3'"),
        (b"label,pixel1", b"pixel1,label", r"line 1, column 1: needs 'label', found 'pixel1'"),
        (b"label,pixel1,pixel2\n", b"", r"line 1, column 1: needs 'label', found '1'"),
        (b"label", b"\xfflabel", r"line 1, column 1: needs 'label', found '�label'"),
        (b"pixel2", b"pixel2" * 50_000, r"line 1, column 3: needs 'pixel2', found 'pixel2pixel2"),
        (b",7\n", b",x\n", r"line 3, column pixel2: needs a plain whole number from 0 to 255, found 'x'"),
        (b"0,0,7", b"0,,7", r"line 3, column pixel1: needs .* from 0 to 255, found an empty cell"),
        (b",7\n", b",\n", r"line 3, column pixel2: .* found an empty cell"),
        (b"0,0,7", b",0,7", r"line 3, column label: needs .* from 0 to 2, found an empty cell"),
        (b",7\n", b",256\n", r"line 3, column pixel2: .* found '256'"),
        (b",7\n", b",356\n", r"line 3, column pixel2: .* found '356'"),
        (b",7\n", b",1255\n", r"line 3, column pixel2: .* found '1255'"),
        (b",7\n", b"," + b"9" * 5000 + b"\n", r"line 3, column pixel2: .* found '9{40}'"),
        (b",7\n", b",-7\n", r"line 3, column pixel2: .* found '-7'"),
        (b",7\n", b",+7\n", r"line 3, column pixel2: .* found '\+7'"),
        (b",7\n", b", 7\n", r"line 3, column pixel2: .* found ' 7'"),
        (b",7\n", b",7 \n", r"line 3, column pixel2: .* found '7 '"),
        (b",7\n", b",07\n", r"line 3, column pixel2: .* found '07'"),
        (b",7\n", b",7.0\n", r"line 3, column pixel2: .* found '7.0'"),
        (b",7\n", b",1e2\n", r"line 3, column pixel2: .* found '1e2'"),
        (b",7\n", b',"7"\n', r"line 3, column pixel2: .* found '\"7\"'"),
        (b",7\n2", b',"7\n2"', r"line 3, column pixel2: .* found '\"7'"),
        (b",7\n", b",7\0\n", r"line 3, column pixel2: .* found '7\\x00'"),
        (b",7\n", b",7\r\r\n", r"line 3, column pixel2: .* found '7\\r'"),
        (b"0,0,7", b"0,0\r,7", r"line 3, column pixel1: .* found '0\\r'"),
        (b",7\n", b",\xd9\xa3\n", r"line 3, column pixel2: .* found '٣'"),
        (b"0,0,7", b"3,0,7", r"line 3, column label: needs a plain whole number from 0 to 2, found '3'"),
        (b"0,0,7", b"-1,0,7", r"line 3, column label: .* found '-1'"),
        (b"0,0,7", b"00,0,7", r"line 3, column label: .* found '00'"),
        (b"0,0,7", b"#0,0,7", r"line 3, column label: .* found '#0'"),
        (b"0,0,7", b"1" * 30 + b",0,7", r"line 3, column label: .* found '1{30}'"),
        (b"0,0,7", b"0,0", r"line 3: needs 3 cells, found 2"),
        (b"0,0,7", b"0,0,7,", r"line 3: needs 3 cells, found 4"),
        (b"0,0,7\n2,99,100", b"0,0\n7,2,99,100", r"line 3: needs 3 cells, found 2"),
        (b"0,0,7", b"0;0;7", r"line 3: needs 3 cells, found 1"),
        (b"0,0,7", b"0,0,7\n", r"line 4: needs 3 cells, found a blank line"),
        (b"0,0,7", b"\r\n0,0,7", r"line 3: needs 3 cells, found a blank line"),
        (b"2,99,100\n", b"2,99,100\n\n", r"line 5: needs 3 cells, found a blank line"),
        (b"0,0,7\n", b"0,0,7", r"line 3: needs 3 cells, found 5"),
    ],
)
def test_what_is_refused_and_where(tmp_path: Path, old: bytes, new: bytes, message: str, block_bytes: int) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(UserError, match=message):
        read_text(tmp_path / "table.csv", GOOD.replace(old, new), 2, 3, 3, block_bytes)


def test_a_line_without_end_is_not_gathered(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"label,pixel1\n" + b"0," * 1_000_000)
    with pytest.raises(UserError, match=r"line 2: needs 2 cells, found \d{2}$"):
        list(read_table(path, 1, 10, 1, block_bytes=50))


@st.composite
def damaged_tables(draw: st.DrawFn) -> tuple[bytes, int]:
    """A good table of up to four rows, with up to three small changes to it; and its number of pixels."""
    num_pixels = draw(st.integers(1, 3))
    rows = draw(st.lists(st.tuples(st.integers(0, 11), *[st.integers(0, 255)] * num_pixels), min_size=1, max_size=4))
    lines = [",".join(column_names(num_pixels)), *(",".join(map(str, row)) for row in rows)]
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    text = bytearray((line_end.join(lines) + draw(st.sampled_from(["", line_end]))).encode())
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from(PIECES))
        text[start : start + draw(st.integers(0, 2))] = piece
    return bytes(text), num_pixels


@per_example
@given(damaged_tables(), st.sampled_from([1, 30, 2**19]))
@example((b"label,pixel1,pixel2\n1,00,\n", 2), 2**19)  # a leading zero makes up for an empty cell
@example((b"label,pixel1\n1,1,1\n1\n", 1), 2**19)  # a long row makes up for a short one
@example((b"label,pixel1\n1\n1,1,1\n", 1), 2**19)
@example((b"label,pixel1\n1,1\n1,300\n", 1), 2**19)
def test_accepted_exactly_when_the_csv_module_agrees(tmp_path: Path, damaged: tuple[bytes, int], block_bytes: int) -> None:
    text, num_pixels = damaged
    reference = read_by_csv_module(text, num_pixels, num_classes=12) if text else None
    num_rows = text.removesuffix(b"\n").count(b"\n")
    if reference is None:
        with pytest.raises(UserError, match=r"table.csv: "):
            read_text(tmp_path / "table.csv", text, num_pixels, 12, num_rows, block_bytes)
    else:
        pixels_NP, labels_N = read_text(tmp_path / "table.csv", text, num_pixels, 12, num_rows, block_bytes)
        assert (pixels_NP.tolist(), labels_N.tolist()) == reference


@per_example
@given(damaged_tables())
def test_the_fast_way_takes_exactly_what_the_slow_way_takes(damaged: tuple[bytes, int]) -> None:
    text, num_pixels = damaged
    lines = text.partition(b"\n")[2].rstrip(b"\n") + b"\n"
    labels = label_texts(12)
    fast = _parse_fast(lines, num_pixels, labels)
    try:
        slow = parse_lines(Path("table.csv"), lines, 2, column_names(num_pixels), labels)
    except UserError:
        assert fast is None
    else:
        assert fast is not None
        np.testing.assert_array_equal(fast[0], slow[0])
        np.testing.assert_array_equal(fast[1], slow[1])
        assert (fast[0].dtype, fast[1].dtype) == (slow[0].dtype, slow[1].dtype)
