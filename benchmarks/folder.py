"""How long a folder of 60,000 small pictures takes to become arrays, and `dvc status` to find nothing changed: on Linux,

    DATASET_MIRROR=… python -m benchmarks.folder

`dvc repro build` runs in a copy of this repository's files in a temporary folder. With a mirror the pictures are the training
images of Fashion-MNIST, without one they are random. Rewrites benchmarks/folder.json and benchmarks/folder.md.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.pipeline import Timed, copy_project, stage_table, summed_up
from benchmarks.record import ROOT, circumstances, page_head, ranged, spread
from classifier.common.files import write_json, write_text
from classifier.decoding.idx import read_idx
from classifier.images.arrays import Images, Labels

NUM_PICTURES = 60_000
NUM_CLASSES = 10
SIDE = 28
IDLE_REPEATS = 3
STATUS = ("status", "--quiet", "--with-deps", "build")
"""Its exit status is that of a failure unless all is up to date."""
WANTED = {"from the folder to the arrays, s, below": 60, "dvc status, s, below": 10}
PACKAGES = ("dvc", "numpy", "pillow")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Seconds from a folder of small pictures to arrays.")
    parser.add_argument("--rounds", type=int, default=3, help="runs, each in a new repository")
    parser.add_argument("--pictures", type=int, default=NUM_PICTURES, help="how many")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = _write_pictures(Path(folder) / "pictures", arguments.pictures)
        figures = _measure(Path(folder), arguments.rounds, arguments.pictures)
    record = {
        "command": f"python -m benchmarks.folder --rounds {arguments.rounds} --pictures {arguments.pictures}",
        "data": data,
        "pictures": arguments.pictures,
        "rounds": arguments.rounds,
        **circumstances(PACKAGES),
        **figures,
        "wanted": WANTED,
    }
    write_json(ROOT / "benchmarks/folder.json", record)
    write_text(ROOT / "benchmarks/folder.md", _page(record))
    print(_page(record))


def _write_pictures(folder: Path, number: int) -> str:
    """PNGs in class folders; return what they are."""
    mirror = os.environ.get("DATASET_MIRROR")
    images_NHW, labels_N = _fashion_mnist(Path(mirror) / "fashion_mnist") if mirror else _random(number)
    for name in range(NUM_CLASSES):
        (folder / f"class{name}").mkdir(parents=True)
    for row, (image_HW, label) in enumerate(zip(images_NHW[:number], labels_N[:number], strict=True)):
        Image.fromarray(image_HW).save(folder / f"class{label}/{row:05}.png")
    size = sum(file.stat().st_size for file in folder.rglob("*.png"))
    kind = "training images of Fashion-MNIST" if mirror else "random images"
    return f"{number:,} {kind}, {SIDE}×{SIDE} pixels, as PNGs in {NUM_CLASSES} folders, {size / 1e6:.0f} MB"


def _fashion_mnist(folder: Path) -> tuple[Images, Labels]:
    images, labels = (folder / f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    images_N1HW, labels_N = zip(*read_idx(images, labels, NUM_CLASSES), strict=True)
    return np.concatenate(images_N1HW)[:, 0], np.concatenate(labels_N)


def _random(number: int) -> tuple[Images, Labels]:
    images_NHW = np.random.default_rng(0).integers(0, 256, (number, SIDE, SIDE), dtype=np.uint8)
    return images_NHW, np.arange(number) % NUM_CLASSES


def _measure(folder: Path, rounds: int, number: int) -> dict[str, Any]:
    cold: list[dict[str, dict[str, float]]] = []
    changed: list[dict[str, dict[str, float]]] = []
    idle: list[float] = []
    for round_number in range(rounds):
        repository = Timed(folder / f"round{round_number}")
        copy_project(repository, dataset="folder", source=str(folder / "pictures"))
        cold.append(repository.staged("repro", "build"))
        _check_missing(repository.root, number)
        idle += [repository.dvc(*STATUS) for _ in range(IDLE_REPEATS)]
        _change_one(folder / "pictures", round_number)
        changed.append(repository.staged("repro", "build"))
        repository.dvc(*STATUS)
        shutil.rmtree(repository.root)
    return {
        "cold_seconds": summed_up(cold),
        "status_seconds": spread(idle),
        "one_changed_seconds": summed_up(changed),
    }


def _check_missing(root: Path, number: int) -> None:
    """What is timed must be the whole work."""
    arrays = [np.load(root / f"data/dataset/{split}/images.npy", mmap_mode="r") for split in ("train", "val", "test")]
    assert sum(len(images_NCHW) for images_NCHW in arrays) == number


def _change_one(folder: Path, round_number: int) -> None:
    """Another picture of another size, so that DVC cannot take it for the old one."""
    path = sorted(folder.rglob("*.png"))[round_number]
    Image.new("L", (SIDE + 1 + round_number, SIDE)).save(path)


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    facts = [
        f"data: {record['data']}; its files were just written, so they are read from memory",
        f"n = {record['rounds']} runs, each in a new repository; after each, {IDLE_REPEATS} times `dvc status`",
    ]
    whole, status = record["cold_seconds"]["whole"]["all"], record["status_seconds"]
    lines: Sequence[str] = [
        *page_head("A folder of small pictures", "folder", record, facts),
        "",
        "Seconds: median, least to greatest. Imports are what `-X importtime` adds up to in the same run; DVC itself is the",
        "rest of the command: its start, hashing the folder, and moving results into the cache.",
        "",
        "## `dvc repro build` from the folder to the arrays",
        "",
        *stage_table(record["cold_seconds"]),
        "",
        f"Wanted: below {WANTED['from the folder to the arrays, s, below']}; measured {ranged(whole)}.",
        "",
        "## `dvc status` with nothing changed",
        "",
        f"{ranged(status)} s; wanted: below {WANTED['dvc status, s, below']}. It says that all is up to date.",
        "",
        "## `dvc repro build` after one picture was changed",
        "",
        *stage_table(record["one_changed_seconds"]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
