"""A git repository with all that a report tells of, for its tests: results, test images, data report and model."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from classifier.images.arrays import write_split
from record.content import md5
from tests.support.review_case import CLASSES, Case

NUM_IMAGES = 300
ACTUAL = [number % 3 for number in range(NUM_IMAGES)]
PREDICTED = [2 if number % 20 == 0 else label for number, label in enumerate(ACTUAL)]
"""Ten images that are no emu are taken for one: numbers 0, 40, 60, 100, … of 15 by the twenties."""
CONFIDENCE = np.round(0.5 + np.arange(NUM_IMAGES) * 37 % 100 / 250, 5)
DATA_REPORT: dict[str, Any] = {
    "images": {"train": 60, "test": 300},
    "classes": 3,
    "classes_missing": {"train": 0, "test": 0},
    "imbalance": 1.5,
    "constant": {"train": 0, "test": 0},
    "repeated": {"train": 2, "test": 0},
    "leaked": {"test_in_train": 7},
    "label_conflicts": 0,
    "unreadable": 1,
    "unreadable_files": ["<i>broken</i>.png"],
}
MODEL: dict[str, Any] = {
    "dataset": "mnist",
    "classes": CLASSES,
    "hflip_invariant": False,
    "mean": [0.25],
    "std": [0.5],
    "network": "mlp",
    "optimizer": "adamw",
    "precision": "float32",
    "num_parameters": 12345,
    "kept_epoch": 2,
    "shape_CHW": [1, 5, 4],
    "computed_with": {"torch": "9.8.7", "device": "cpu", "threads": 1},
}


class ReportCase(Case):
    """As `Case`, with every part there."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[str] = CLASSES,
        shape_CHW: tuple[int, int, int] = (1, 5, 4),
        actual: list[int] = ACTUAL,
        predicted: list[int] = PREDICTED,
    ) -> None:
        super().__init__(root)
        self.write(".gitignore", "/data/\n/models/\n/report.html\n")
        values = np.random.default_rng(0).integers(0, 256, (len(actual), *shape_CHW), dtype=np.uint8)
        self.images_NCHW: NDArray[np.uint8] = values
        write_split(root / "data/dataset/test", len(actual), shape_CHW, [(values, np.array(actual))])
        self.test_hash = md5(root / "data/dataset/test")
        self.results(actual, predicted, classes=list(classes), test_hash=self.test_hash)
        self.set_confidence(np.resize(CONFIDENCE, len(actual)))
        self.add("download", "metrics/data.json", json.dumps(DATA_REPORT))
        counts = "".join(f'"{name.replace(chr(34), chr(34) * 2)}",20,100\n' for name in classes)
        self.add("download", "plots/data.csv", f"class,train,test\n{counts}")
        self.add("train", "models/model.json", json.dumps(MODEL))
        self.commit()

    def add(self, stage: str, path: str, text: str) -> None:
        """Write a file as that stage would have made it."""
        self.write(path, text)
        self._record(path, stage)

    def set_confidence(self, confidence_N: NDArray[np.float64]) -> None:
        """Change the column in plots/predictions.csv."""
        path = self.root / "plots/predictions.csv"
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        changed = []
        for line, confidence in zip(lines, confidence_N, strict=True):
            names, _, loss = line.rsplit(",", 2)
            changed.append(f"{names},{confidence:g},{loss}")
        self.write("plots/predictions.csv", "\n".join([head, *changed, ""]))
        self._record("plots/predictions.csv", "evaluate")

    def forget_images(self) -> None:
        """As in a fresh clone."""
        shutil.rmtree(self.root / "data")

    def _record(self, path: str, stage: str) -> None:
        """Put the hash of the file into dvc.lock."""
        lock = yaml.safe_load((self.root / "dvc.lock").read_text(encoding="utf-8"))
        outs = [out for out in lock["stages"][stage]["outs"] if out["path"] != path]
        content = (self.root / path).read_bytes()
        outs.append({"path": path, "hash": "md5", "md5": hashlib.md5(content).hexdigest(), "size": len(content)})
        lock["stages"][stage]["outs"] = outs
        self.write("dvc.lock", yaml.safe_dump(lock, sort_keys=False))
