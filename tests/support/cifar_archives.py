"""CIFAR-10's binary archive, made up in the official layout."""

import io
import tarfile
from pathlib import Path

import numpy as np

from classifier.decoding.cifar import FOLDER
from classifier.sources.catalogue import load_dataset

CLASSES = load_dataset(Path(__file__).parents[2] / "catalogue.yaml", "cifar10").classes
# The order of the official archive, which is not that of the batches.
NAMES = ["data_batch_1", "data_batch_3", "data_batch_4", "test_batch", "data_batch_5", "data_batch_2"]


def batch(name: str, num_records: int = 4) -> bytes:
    """Records whose every byte differs from batch to batch; label k is followed by pixels that start at k."""
    rng = np.random.default_rng(NAMES.index(name))
    labels = np.arange(num_records, dtype=np.uint8)[:, np.newaxis] % 10
    return np.hstack([labels, rng.integers(0, 256, (num_records, 3072), dtype=np.uint8)]).tobytes()


def members() -> dict[str, bytes]:
    files = {f"{FOLDER}/{name}.bin": batch(name) for name in NAMES}
    return {**files, f"{FOLDER}/batches.meta.txt": ("\n".join(CLASSES) + "\n\n").encode(), f"{FOLDER}/readme.html": b"<p>"}


def write_archive(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        folder = tarfile.TarInfo(FOLDER)
        folder.type = tarfile.DIRTYPE
        for info in (folder, *extra):
            archive.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path
