"""The results that a revision holds: its tables and metrics, checked against each other and against its dvc.lock."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier.common.csv_file import read_csv
from classifier.common.errors import UserError, short_repr
from classifier.common.files import read_json
from classifier.images.arrays import Images, load_split
from classifier.model.description import DESCRIPTION, WEIGHTS
from record.lock_file import LOCK_FILE, Lock, is_recorded, read_lock
from record.metrics import TEST_METRICS, TRAIN_METRICS, Metrics
from record.revisions import Revision
from record.statistics import macro_f1

PREDICTIONS = "plots/predictions.csv"
CLASSES = "plots/classes.csv"
HISTORY = "plots/history.csv"
DATA_TABLE = "plots/data.csv"
MODEL_DESCRIPTION, MODEL_WEIGHTS = f"models/{DESCRIPTION}", f"models/{WEIGHTS}"
MODEL_FILES = (MODEL_DESCRIPTION, MODEL_WEIGHTS)
RESULTS = [PREDICTIONS, CLASSES, HISTORY, TEST_METRICS, TRAIN_METRICS]
TEST_SPLIT = "data/dataset/test"
EVALUATE = "evaluate"
_ROUNDING = 1e-4
"""The tables hold six significant digits and the metrics six decimals."""


@dataclass(frozen=True)
class Results:
    """Of one revision. Legend: N test images, K classes."""

    revision: Revision
    lock: Lock
    metrics: dict[str, float]
    """Of metrics/test.json, then metrics/train.json."""
    predictions: pd.DataFrame
    """Columns actual, predicted, confidence, loss; a row an image."""
    history: pd.DataFrame
    classes: list[str]
    actual_N: NDArray[np.int64]
    """Labels: positions in `classes`."""
    predicted_N: NDArray[np.int64]
    """Labels that the model gave."""
    right_N: NDArray[np.bool_]
    """Whether they agree."""
    loss_N: NDArray[np.float64]
    """Cross-entropy of each image in nats."""

    @property
    def baseline(self) -> float:
        """Share of the largest class of the test images, 0 to 1: the accuracy of always guessing it."""
        return float(np.bincount(self.actual_N).max() / len(self.actual_N))

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have test images."""
        images_K = np.bincount(self.actual_N)
        right_K = np.bincount(self.actual_N[self.right_N], minlength=len(images_K))
        return float((right_K[images_K > 0] / images_K[images_K > 0]).mean())

    @property
    def test_hash(self) -> str:
        """Hash of the test split that these predictions are of."""
        return self.lock.stages[EVALUATE].dep_hashes[TEST_SPLIT]


def read_results(revision: Revision) -> Results:
    """Raises UserError, which names the revision and the file, for what is missing, damaged, or not of one run."""
    files = [LOCK_FILE, *RESULTS]
    revision.check_conflicts(files)
    with revision.unpacked(files) as folder:
        for path in files:
            if not (folder / path).is_file():
                raise UserError(f"{revision.name}: has no {path}; run `dvc repro` there and commit its results")
        results = _read(revision, folder)
        _check_misfits(results, folder)
        _check_unrecorded(results.lock, folder)
        return results


def _read(revision: Revision, folder: Path) -> Results:
    lock = read_lock(folder / LOCK_FILE)
    if EVALUATE not in lock.stages or not lock.stages[EVALUATE].dep_hashes.get(TEST_SPLIT):
        raise UserError(f"{folder / LOCK_FILE}: needs a stage {EVALUATE} that reads {TEST_SPLIT}; run `dvc repro`")
    predictions = read_csv(folder / PREDICTIONS, ["actual", "predicted", "confidence", "loss"])
    table = read_csv(folder / CLASSES, ["class", "recall", "support"])
    if table["class"].duplicated().any():
        raise UserError(f"{folder / CLASSES}: needs each class once; run `dvc repro`")
    classes = list(table["class"])
    actual_N, predicted_N = (_labels(folder / PREDICTIONS, predictions[column], classes) for column in ("actual", "predicted"))
    return Results(
        revision,
        lock,
        metrics={**read_json(folder / TEST_METRICS, Metrics).root, **read_json(folder / TRAIN_METRICS, Metrics).root},
        predictions=predictions,
        history=read_csv(folder / HISTORY, ["epoch", "train_loss", "train_accuracy"]),
        classes=classes,
        actual_N=actual_N,
        predicted_N=predicted_N,
        right_N=actual_N == predicted_N,
        loss_N=predictions["loss"].to_numpy(dtype=np.float64),
    )


def _labels(path: Path, names: "pd.Series[str]", classes: list[str]) -> NDArray[np.int64]:
    unknown = set(names) - set(classes)
    if unknown:
        raise UserError(f"{path}: {short_repr(min(unknown))} is not a class of classes.csv; run `dvc repro`")
    return pd.Categorical(names, categories=classes).codes.astype(np.int64)


def _check_misfits(results: Results, folder: Path) -> None:
    """Raise UserError for tables and metrics that are not of one run."""
    support = read_csv(folder / CLASSES, ["support"])["support"].to_numpy()
    counted_K = np.bincount(results.actual_N, minlength=len(results.classes))
    if not np.array_equal(support, counted_K):
        found = f"needs the {support.sum():.0f} images that classes.csv counts by class, found {len(results.predictions)} rows"
        raise UserError(f"{folder / PREDICTIONS}: {found} of other counts; run `dvc repro`")
    for name, figure in _recomputed(results).items():
        if name not in results.metrics:
            if name in ADDED_LATER:
                continue
            raise UserError(f"{folder / TEST_METRICS}: needs {name}; run `dvc repro`")
        if not np.isclose(results.metrics[name], figure, rtol=_ROUNDING, atol=_ROUNDING):
            stated = f"{name} is {results.metrics[name]:.6g}, but {figure:.6g} by predictions.csv"
            raise UserError(f"{folder / TEST_METRICS}: {stated}; run `dvc repro`")


ADDED_LATER = {"test_balanced_accuracy", "test_baseline_accuracy"}
"""Revisions of before lack them."""


def _recomputed(results: Results) -> dict[str, float]:
    return {
        "test_accuracy": float(results.right_N.mean()),
        "test_loss": float(results.loss_N.mean()),
        "test_macro_f1": macro_f1(results.actual_N, results.predicted_N, len(results.classes)),
        "test_balanced_accuracy": results.balanced_accuracy,
        "test_baseline_accuracy": results.baseline,
    }


def _check_unrecorded(lock: Lock, folder: Path) -> None:
    """Raise UserError for a result that is not the one dvc.lock records, as after a merge that took one file from each side."""
    for path in RESULTS:
        if not is_recorded(lock, path, folder):
            raise UserError(
                f"{folder / path}: is not the file that dvc.lock records; run `dvc repro`, and commit both together"
            )


def load_test_images(results: Results) -> tuple[Images | None, str | None]:
    """images_NCHW and None, or None and why they are not to be had here."""
    folder = Path(TEST_SPLIT)
    if not folder.is_dir():
        return None, f"the pictures of the images need {TEST_SPLIT}, which is not here; `dvc pull` or `dvc repro` brings it"
    from record.content import md5  # the import of DVC takes a second

    if md5(folder) != results.test_hash:
        return None, f"the pictures of the images need {TEST_SPLIT} as dvc.lock records it; here is another version of it"
    try:
        images_NCHW, _ = load_split(folder)
    except UserError as error:
        return None, str(error)
    if len(images_NCHW) != len(results.predictions):
        return None, f"{TEST_SPLIT} has {len(images_NCHW):,} images, but {len(results.predictions):,} have predictions"
    return images_NCHW, None
