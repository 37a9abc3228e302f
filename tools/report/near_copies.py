"""Pairs of near copies that the data check found, as pictures."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from classifier.images.arrays import load_split
from classifier.splits.data_check import NEAR_COPIES_FILE
from record.lock_file import Lock
from tools.report.confusions import thumbnail

DATASET = "data/dataset"
MAX_PAIRS = 12


@dataclass(frozen=True)
class Half:
    """One of a pair: where it is, its class, and its picture as PNG or JPEG."""

    place: str
    class_name: str
    picture: bytes


@dataclass(frozen=True)
class Pair:
    """Two images and how much they differ."""

    halves: tuple[Half, Half]
    difference: float


def read_pairs(lock: Lock) -> list[Pair]:
    """The first pairs, which are those across splits; none where the arrays of this run are not here."""
    table = Path(DATASET) / NEAR_COPIES_FILE
    if not table.is_file() or DATASET not in lock.out_hashes:
        return []
    from record.content import md5  # the import of DVC takes a second

    if md5(Path(DATASET)) != lock.out_hashes[DATASET]:
        return []
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.DictReader(file), MAX_PAIRS))
    splits = {row[name] for row in rows for name in ("split", "earlier_split")}
    images = {split: load_split(Path(DATASET) / split)[0] for split in splits}

    def half(row: Mapping[str, str], begin: str) -> Half:
        split, number = row[f"{begin}split"], int(row[f"{begin}row"])
        return Half(f"{split} {number}", row[f"{begin}class"], thumbnail(images[split][number]))

    return [Pair((half(row, ""), half(row, "earlier_")), float(row["difference"])) for row in rows]
