"""The arithmetic of the page on millions of images, from figures made up so that each result is known."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scale_data import blocks, labels_of, write_folder, write_idx
from benchmarks.scale_page import batch_cost, bytes_more, hours_of_a_billion, microseconds, pandas_rate, paragraph, times_first
from benchmarks.watched import held, watched
from classifier.common.errors import UserError
from classifier.decoding.idx import read_idx


def row(images: int, seconds: float, anonymous_MiB: float) -> dict[str, Any]:
    step = {"seconds": seconds, "processor": seconds / 2, "anonymous_MiB": anonymous_MiB}
    beside = {"seconds": 0.7, "processor": 0.35}  # 10 microseconds for each of the 70,000 of size 1
    return {"images": images, "convert": {**step, "beside": beside}, "input, warm": {**step, "images": images // 2}}


ROWS = [row(1_000_000, 8, 40), row(3_000_000, 36, 42), row(5_000_000, 45, 44)]


def test_microseconds_an_image() -> None:
    assert microseconds(ROWS[0], "convert") == 8
    assert microseconds(ROWS[0], "convert", "processor") == 4
    assert microseconds(ROWS[0], "input, warm") == 16, "of half of the images"
    assert batch_cost({"batches": 3, "images": 1_000_000, "seconds": 5}) == 3


def test_growth_is_judged_at_its_worst_and_memory_at_the_end() -> None:
    assert times_first(ROWS, "convert") == pytest.approx(12 / 10)
    assert times_first(ROWS, "convert", "processor") == pytest.approx(6 / 5)
    assert bytes_more(ROWS, "convert") == 4 * 2**20 / 4_000_000


def test_a_billion_images_at_a_microsecond_each() -> None:
    assert hours_of_a_billion(1) == pytest.approx(1000 / 3600)


def test_the_rate_of_pandas() -> None:
    assert pandas_rate({"pandas_read_seconds": 0.001, "csv_bytes": 50_000}) == pytest.approx(20)


def test_a_paragraph_is_one_text_in_short_lines() -> None:
    lines = paragraph("word " * 40 + "end", "long-" * 40)
    assert " ".join(lines).split() == [*["word"] * 40, "end", "long-" * 40]
    assert all(len(line) <= 120 for line in lines[:-1])


def test_made_up_images_differ_and_half_of_their_pixels_are_zero() -> None:
    images_NHW = np.concatenate(list(blocks(10_500, seed=0)))
    assert images_NHW.shape == (10_500, 28, 28)
    assert len(np.unique(images_NHW.reshape(len(images_NHW), -1), axis=0)) == 10_500
    assert (images_NHW == 0).mean() == pytest.approx(0.5, abs=0.01)


def test_made_up_files_are_those_that_the_pipeline_reads(tmp_path: Path) -> None:
    write_idx(tmp_path / "raw", {"train": 30, "test": 20})
    ((images_N1HW, labels_N),) = read_idx(tmp_path / "raw/train_images", tmp_path / "raw/train_labels", 10)
    np.testing.assert_array_equal(images_N1HW[:, 0], next(blocks(30, seed=0)))
    assert labels_N.tolist() == labels_of(30).tolist() == [*range(10)] * 3
    write_folder(tmp_path / "pictures", {"train": 30, "test": 20})
    assert len(list(tmp_path.glob("pictures/train/class3/*.png"))) == 3
    assert len(list(tmp_path.glob("pictures/*/*/*.png"))) == 50


STATUS = "Name:\tpython\nRssAnon:\t    2048 kB\nRssFile:\t    1024 kB\nRssShmem:\t       0 kB\n"


def test_memory_is_read_as_linux_tells_it() -> None:
    assert held(STATUS) == {"anonymous": 2.0, "mapped": 1.0}
    assert held("Name:\tpython\nState:\tZ (zombie)\n") == {}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_is_watched(tmp_path: Path) -> None:
    program = "import time; held = bytearray(64 * 2**20); time.sleep(0.3); print('done')"
    found = watched([sys.executable, "-c", program], tmp_path, os.environ)
    assert found.output == "done\n"
    assert found.seconds > 0.3
    assert 64 < found.peak_MiB["anonymous"] < 96
    with pytest.raises(UserError, match=r"failed: .*no such thing"):
        watched([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path, os.environ)
