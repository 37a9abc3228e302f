"""A git repository with results of made-up predictions, as a run would have left them, for the tests of the review."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_recall_fscore_support

from classifier.common.csv_file import write_csv
from classifier.common.files import write_json

CLASSES = ["cat", "dog", "emu"]
TEST_HASH = "0123456789abcdef0123456789abcdef.dir"
CODE = "stages/train.py"
PARAMS: dict[str, Any] = {"dataset": "digits", "lr": 0.001, "momentum": None}
OUTS = {
    "train": ["metrics/train.json", "plots/history.csv"],
    "evaluate": ["metrics/test.json", "plots/predictions.csv", "plots/classes.csv"],
}


class Case:
    """The repository in the folder `root`, with nothing in it at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Test")
        self.git("config", "user.email", "test@example.com")

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, message: str = "results") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding="utf-8")

    def results(
        self,
        actual: list[int],
        predicted: list[int],
        loss: list[float] | NDArray[np.float64] | None = None,
        *,
        classes: list[str] = CLASSES,
        test_hash: str = TEST_HASH,
        code: str = "first",
        **params: Any,
    ) -> None:
        """Write all results, the code, params.yaml and dvc.lock of a run with these predictions."""
        losses = np.full(len(actual), 0.5) if loss is None else np.asarray(loss, dtype=np.float64)
        names = np.array(classes)
        table = {"actual": names[actual], "predicted": names[predicted], "confidence": 0.75, "loss": losses}
        write_csv(self.root / "plots/predictions.csv", pd.DataFrame(table))
        precision, recall, f1, support = precision_recall_fscore_support(
            actual, predicted, labels=range(len(classes)), zero_division=0
        )
        of_classes = {"class": classes, "precision": precision, "recall": recall, "f1": f1, "support": support}
        write_csv(self.root / "plots/classes.csv", pd.DataFrame(of_classes))
        history = {"epoch": [1, 2], "train_loss": [2.0, 1.0], "train_accuracy": [0.5, 0.6]}
        write_csv(self.root / "plots/history.csv", pd.DataFrame(history))
        accuracy = float(np.mean(np.array(actual) == np.array(predicted)))
        macro_f1 = f1_score(actual, predicted, average="macro", zero_division=0)
        metrics = {"test_loss": float(losses.mean()), "test_accuracy": accuracy, "test_macro_f1": float(macro_f1)}
        write_json(self.root / "metrics/test.json", {name: round(figure, 6) for name, figure in metrics.items()})
        write_json(self.root / "metrics/train.json", {"train_loss": 1.0, "train_accuracy": 0.6, "best_epoch": 2})
        self.write(CODE, code)
        self.write("params.yaml", yaml.safe_dump(PARAMS | params))
        self.lock(test_hash, PARAMS | params)

    def lock(self, test_hash: str, params: dict[str, Any]) -> None:
        """Write dvc.lock for the files that are there."""
        stages = {
            "download": {
                "cmd": "python -m stages.download",
                "params": {"params.yaml": {"dataset": params["dataset"]}},
                "outs": [{"path": "data/dataset", "hash": "md5", "md5": "f" * 32 + ".dir", "size": 1}],
            },
            "train": {
                "cmd": "python -m stages.train",
                "deps": [self._entry(CODE)],
                "params": {"params.yaml": {key: value for key, value in params.items() if key != "dataset"}},
                "outs": [self._entry(path) for path in OUTS["train"]],
            },
            "evaluate": {
                "cmd": "python -m stages.evaluate",
                "deps": [{"path": "data/dataset/test", "hash": "md5", "md5": test_hash, "size": 1}],
                "outs": [self._entry(path) for path in OUTS["evaluate"]],
            },
        }
        self.write("dvc.lock", yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))

    def _entry(self, path: str) -> dict[str, Any]:
        content = (self.root / path).read_bytes()
        return {"path": path, "hash": "md5", "md5": hashlib.md5(content).hexdigest(), "size": len(content)}
