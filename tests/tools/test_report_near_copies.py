"""Pairs of near copies in the report: as pictures, those of this run only."""

from pathlib import Path

import numpy as np
import pytest

from classifier.images.arrays import write_split
from record.content import md5
from record.lock_file import Lock
from tools.report.confusions import thumbnail
from tools.report.near_copies import Half, Pair, read_pairs

TABLE = """split,row,class,earlier_split,earlier_row,earlier_class,difference
test,1,"a, b",train,0,c,0.02
"""


def lock_of(folder: str) -> Lock:
    stage = {"cmd": "build", "outs": [{"path": "data/dataset", "hash": "md5", "md5": folder, "size": 1, "nfiles": 1}]}
    return Lock.model_validate({"schema": "2.0", "stages": {"build": stage}})


def test_pairs_of_this_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 5, 4), dtype=np.uint8)
    for split, part in (("train", images[:2]), ("test", images[2:])):
        write_split(Path("data/dataset") / split, 2, (1, 5, 4), [(part, np.array([0, 1]))])
    assert read_pairs(lock_of("0" * 32 + ".dir")) == []
    Path("data/dataset/near_copies.csv").write_text(TABLE)
    halves = (Half("test 1", "a, b", thumbnail(images[3])), Half("train 0", "c", thumbnail(images[0])))
    assert read_pairs(lock_of(md5(Path("data/dataset")))) == [Pair(halves, 0.02)]
    assert read_pairs(lock_of("0" * 32 + ".dir")) == []  # of another run
