"""Blocks: every row once, in order, and never more bytes than a block may have."""

import pytest

from classifier.images.arrays import BLOCK_BYTES, row_slices


@pytest.mark.parametrize("bytes_per_row", [1, 784, BLOCK_BYTES // 3, BLOCK_BYTES, 5 * BLOCK_BYTES])
def test_slices_cover_every_row_once_within_the_limit(bytes_per_row: int) -> None:
    num_rows = 2 * BLOCK_BYTES // bytes_per_row + 7
    slices = list(row_slices(num_rows, bytes_per_row))
    assert [row for rows in slices for row in (rows.start, rows.stop)][1:-1:2] == [rows.start for rows in slices][1:]
    assert (slices[0].start, slices[-1].stop) == (0, num_rows)
    assert max(rows.stop - rows.start for rows in slices) == max(1, BLOCK_BYTES // bytes_per_row)


def test_no_rows_make_no_slices() -> None:
    assert list(row_slices(0, 784)) == []
