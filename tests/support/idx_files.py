"""Data sets in the idx format, made up, with their entry in the catalogue."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import yaml

from tests.support.pipeline import Repository


def idx(array: np.ndarray) -> bytes:
    """Unsigned bytes in the idx format of LeCun's MNIST page: 0 0 8 rank, each dimension as a big-endian word, the data."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def add_idx_dataset(repository: Repository, mirror: Path, name: str, arrays: dict[str, np.ndarray], classes: list[str]) -> None:
    """Put a data set's files in a mirror and its entry in the repository's catalogue."""
    (mirror / name).mkdir(parents=True)
    files = {}
    for role, array in arrays.items():
        content = idx(array)
        (mirror / name / f"{role}.gz").write_bytes(content)
        md5 = hashlib.md5(content).hexdigest()
        urls = [f"http://127.0.0.1:9/{role}.gz"]
        files[role] = {"name": f"{role}.gz", "size": len(content), "md5": md5, "urls": urls}
    entry = {
        "title": name,
        "reference": "made by a test",
        "format": "idx",
        "classes": classes,
        "hflip_invariant": True,
        "files": files,
    }
    with (repository.root / "catalogue.yaml").open("a") as file:
        file.write("\n" + yaml.safe_dump({name: entry}))


def toy_arrays() -> dict[str, np.ndarray]:
    """Three classes of 9x9 images told apart by which third is bright."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, size in (("train", 90), ("test", 30)):
        labels = np.arange(size) % 3
        images = rng.integers(0, 80, (size, 9, 9))
        for image, label in zip(images, labels, strict=True):
            image[3 * label : 3 * label + 3] += 150
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return arrays
