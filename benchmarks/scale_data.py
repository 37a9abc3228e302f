"""Made-up data of any size for benchmarks/scale.py, written block by block: idx files, and folders of PNGs."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from classifier.common.files import write_json
from classifier.images.arrays import Images
from classifier.images.schema import RawDescription

SIDE = 28
NUM_CLASSES = 10
NUM_TRAIN, NUM_TEST = 60_000, 10_000
BLOCK = 10_000
"""Images made at once."""
CLASSES = [str(label) for label in range(NUM_CLASSES)]


def blocks(num_images: int, seed: int) -> Iterator[Images]:
    """Random images_NHW; half of the pixels are 0, as in Fashion-MNIST, so that the table has about as many digits."""
    random = np.random.default_rng(seed)
    for start in range(0, num_images, BLOCK):
        values = random.integers(0, 256, (min(BLOCK, num_images - start), SIDE, SIDE), dtype=np.uint8)
        yield np.where(values < 128, np.uint8(0), values)


def rows_of(size: int) -> dict[str, int]:
    """Images of each split: of size 1 as many as Fashion-MNIST has, of others more to train on."""
    return {"train": size * NUM_TRAIN, "test": NUM_TEST}


def labels_of(num_images: int) -> NDArray[np.uint8]:
    """The classes in turn."""
    return (np.arange(num_images) % NUM_CLASSES).astype(np.uint8)


def write_idx(raw: Path, rows: dict[str, int]) -> None:
    """Fill data/raw with plain idx files of as many images for each split as `rows` says."""
    raw.mkdir(parents=True)
    for seed, (split, number) in enumerate(rows.items()):
        with (raw / f"{split}_images").open("wb") as file:
            file.write(_header(number, SIDE, SIDE))
            for images_NHW in blocks(number, seed):
                file.write(images_NHW.data)
        (raw / f"{split}_labels").write_bytes(_header(number) + labels_of(number).tobytes())
    files = {f"{split}_{kind}": f"{split}_{kind}" for split in rows for kind in ("images", "labels")}
    description = RawDescription(dataset="fashion_mnist", format="idx", classes=CLASSES, hflip_invariant=True, files=files)
    write_json(raw / "raw.json", json.loads(description.model_dump_json()))


def write_folder(folder: Path, rows: dict[str, int]) -> None:
    """SPLIT/CLASS/NUMBER.png, as a person may have them."""
    for seed, (split, number) in enumerate(rows.items()):
        for name in CLASSES:
            (folder / split / f"class{name}").mkdir(parents=True)
        row = 0
        for images_NHW in blocks(number, seed):
            for image_HW in images_NHW:
                path = folder / split / f"class{row % NUM_CLASSES}/{row:07}.png"
                Image.fromarray(image_HW).save(path, compress_level=1)
                row += 1


def _header(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes()
