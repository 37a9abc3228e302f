"""How CSV tables and packed pixels compare as images grow, for benchmarks/scale.py."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.images.arrays import Block, take_rows
from classifier.images.packed_pixels import read_packed, write_packed
from classifier.images.table import read_table, write_table

SHAPES_CHW = ((1, 28, 28), (3, 64, 64), (3, 128, 128), (3, 224, 224))
PIXELS = 2**24
"""Of all images of a measurement together."""
NUM_CLASSES = 10


def measured_width(shape_CHW: tuple[int, int, int], repeats: int) -> dict[str, float]:
    """Medians for images of random pixels, as photographs have them: bytes an image, and seconds an image to write and read."""
    num_pixels = math.prod(shape_CHW)
    num_images = PIXELS // num_pixels
    random = np.random.default_rng(0)
    block = random.integers(0, 256, (num_images, *shape_CHW), dtype=np.uint8), np.arange(num_images) % NUM_CLASSES
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "packed").mkdir()
        table = folder / "table.csv"
        jobs: dict[str, Callable[[], object]] = {
            "csv_write": lambda: write_table(table, num_pixels, [block]),
            "csv_read": lambda: _read(table, num_pixels, num_images),
            "packed_write": lambda: write_packed(folder / "packed", "train", shape_CHW, [block]),
            "packed_read": lambda: _read_packed(folder / "packed", shape_CHW, num_images),
            "pandas_read": lambda: pd.read_csv(table, dtype=np.uint8),
        }
        for job in (job for _ in range(repeats) for job in jobs):
            began = time.perf_counter()
            jobs[job]()
            seconds.setdefault(job, []).append(time.perf_counter() - began)
        _check_differences(block, table, folder / "packed", shape_CHW)
        sizes = {"csv": table.stat().st_size, "packed": sum(file.stat().st_size for file in (folder / "packed").iterdir())}
    return {
        "images": num_images,
        **{f"{kind}_bytes": size / num_images for kind, size in sizes.items()},
        **{f"{job}_seconds": statistics.median(times) / num_images for job, times in seconds.items()},
    }


def _read(table: Path, num_pixels: int, num_images: int) -> int:
    """Block by block, as `build` does; return the number of images."""
    return sum(len(labels_N) for _, labels_N in read_table(table, num_pixels, NUM_CLASSES, num_images))


def _read_packed(folder: Path, shape_CHW: tuple[int, int, int], num_images: int) -> int:
    """The same: every row is copied out of the map."""
    images_NCHW, labels_N = read_packed(folder, "train", shape_CHW, NUM_CLASSES, num_images)
    return sum(len(labels) for _, labels in take_rows(images_NCHW, labels_N, np.arange(num_images)))


def _check_differences(block: Block, table: Path, folder: Path, shape_CHW: tuple[int, int, int]) -> None:
    """What is timed must be the whole work."""
    images_NCHW, labels_N = block
    pixels_NP = images_NCHW.reshape(len(labels_N), -1)
    read = np.concatenate([pixels for pixels, _ in read_table(table, pixels_NP.shape[1], NUM_CLASSES, len(labels_N))])
    assert np.array_equal(read, pixels_NP)
    assert np.array_equal(read_packed(folder, "train", shape_CHW, NUM_CLASSES, len(labels_N))[0], images_NCHW)
