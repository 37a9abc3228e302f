"""All that the report tells of the run in the current folder, with intervals and calibration. Legend: N images, B bins."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.common.csv_file import read_csv
from classifier.common.errors import UserError
from classifier.common.files import read_json
from classifier.images.arrays import Images
from classifier.model.description import ModelDescription, read_description
from record.lock_file import Lock, is_recorded
from record.metrics import DATA_METRICS, DataMetrics
from record.results import DATA_TABLE, MODEL_DESCRIPTION, PREDICTIONS, Results, load_test_images, read_results
from record.revisions import WORKSPACE, Provenance, Revision, read_provenance
from record.staleness import stale_inputs
from record.statistics import LEVEL, SEED, Interval, share_interval
from record.verdicts import ACCURACY, LOSS, MACRO_F1, metric_intervals
from tools.report.near_copies import Pair, read_pairs


@dataclass(frozen=True)
class Run:
    """Parts that are None are not here; `missing` has a sentence for each."""

    results: Results
    stale: dict[str, list[str]]
    """By stage, the params and files that are others now than those it ran with."""
    provenance: Provenance
    images_NCHW: Images | None
    data_report: DataMetrics | None
    class_counts: dict[str, list[int]] | None
    """By split, the images of each class, in the order of the classes."""
    model: ModelDescription | None
    missing: list[str]
    near_copies: list[Pair] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The data set (of one's own, the name of its folder) and the network, as far as the stages have such params."""
        lock = self.results.lock
        return ", ".join(str(word) for word in (lock.dataset, lock.param_values.get("network")) if word) or "A run"


def read_run() -> Run:
    """Read the current folder; nothing is run or written.

    Raises UserError for results that are missing, damaged, or not of one run.
    """
    results = read_results(Revision(WORKSPACE, None))
    confidence_N = results.predictions["confidence"].to_numpy(dtype=np.float64)
    if not ((confidence_N >= 0) & (confidence_N <= 1)).all():
        odd = confidence_N[(confidence_N < 0) | (confidence_N > 1)][0]
        raise UserError(f"{PREDICTIONS}: confidence must be 0 to 1, got {odd:g}; run `dvc repro`")
    missing: list[str] = []
    images_NCHW, why = load_test_images(results)
    missing += [why] if why else []
    lock = results.lock
    has_report, has_counts = (_has_result(lock, path, missing) for path in (DATA_METRICS, DATA_TABLE))
    return Run(
        results,
        stale_inputs(results.revision, lock),
        read_provenance(),
        images_NCHW,
        read_json(Path(DATA_METRICS), DataMetrics) if has_report else None,
        _class_counts(results.classes) if has_counts else None,
        read_description(Path(MODEL_DESCRIPTION)) if _has_model(lock, missing) else None,
        missing,
        read_pairs(lock),
    )


def _has_result(lock: Lock, path: str, missing: list[str]) -> bool:
    """Whether a result that git keeps is here. Raises UserError for one of another run."""
    if not Path(path).is_file() or path not in lock.out_hashes:
        lacking = "is not here" if path in lock.out_hashes else "is not in dvc.lock"
        missing.append(f"the figures of the data need {path}, which {lacking}; `dvc repro` makes it")
        return False
    if not is_recorded(lock, path):
        raise UserError(f"{path}: is not the file that dvc.lock records; run `dvc repro`, and commit both together")
    return True


def _has_model(lock: Lock, missing: list[str]) -> bool:
    """Whether the description of the model, which DVC keeps and not git, is here."""
    if not Path(MODEL_DESCRIPTION).is_file():
        missing.append(f"versions and device need {MODEL_DESCRIPTION}, which is not here; `dvc pull` or `dvc repro` brings it")
    elif not is_recorded(lock, MODEL_DESCRIPTION):
        missing.append(f"versions and device need {MODEL_DESCRIPTION} as dvc.lock records it; here is another version of it")
    else:
        return True
    return False


def _class_counts(classes: list[str]) -> dict[str, list[int]]:
    counts = read_csv(Path(DATA_TABLE), ["class", "train"])
    if list(counts["class"]) != classes:
        raise UserError(f"{DATA_TABLE}: needs the classes of plots/classes.csv in their order; run `dvc repro`")
    return {str(split): [int(count) for count in counts[split]] for split in counts.columns if split != "class"}


NUM_BINS = 15
"""Of equal width; bin b holds the confidences above b/15 and up to (b + 1)/15."""
NUM_DRAWS = 1000


@dataclass(frozen=True)
class Bin:
    """The images whose confidence is above `low` and up to `high`: one at least."""

    low: float
    high: float
    num_images: int
    confidence: float
    """Their mean."""
    right: Interval
    """The share of them that is right, with Wilson's interval."""


@dataclass(frozen=True)
class Calibration:
    """Bins without images are left out."""

    bins: list[Bin]
    error: float
    """The expected calibration error, 0 to 1."""
    error_by_chance: float
    """What it stays below in 95 of 100 perfectly calibrated models with the same confidences on as many images."""


def calibration(confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> Calibration:
    """Confidences are 0 to 1; one image at least."""
    edges = np.arange(NUM_BINS + 1) / NUM_BINS
    bin_N = np.searchsorted(edges[1:-1], confidence_N, side="left")
    bins = []
    for index in np.unique(bin_N):
        of_bin_N = bin_N == index
        num_images = int(of_bin_N.sum())
        right = share_interval(int(right_N[of_bin_N].sum()), num_images)
        bins.append(Bin(float(edges[index]), float(edges[index + 1]), num_images, float(confidence_N[of_bin_N].mean()), right))
    return Calibration(bins, _error(bin_N, confidence_N, right_N), _error_by_chance(bin_N, confidence_N))


def _error(bin_N: NDArray[np.intp], confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> float:
    """The images of a bin cancel out of n/N · |right/n - confidence/n|."""
    return float(np.abs(np.bincount(bin_N, right_N - confidence_N)).sum() / len(bin_N))


def _error_by_chance(bin_N: NDArray[np.intp], confidence_N: NDArray[np.float64]) -> float:
    """Draw which images are right from their confidences (consistency resampling, Bröcker & Smith 2007)."""
    rng = np.random.default_rng(SEED)
    errors = [_error(bin_N, confidence_N, rng.random(len(bin_N)) < confidence_N) for _ in range(NUM_DRAWS)]
    return float(np.quantile(errors, 1 - LEVEL, method="higher"))


METHODS = {ACCURACY: "Wilson", LOSS: "bootstrap-t over images", MACRO_F1: "Wilson, effective images"}
"""How the interval of each metric is found."""


@dataclass(frozen=True)
class Figures:
    """Of one run."""

    intervals: dict[str, Interval]
    """By the name in metrics/test.json: those of METHODS."""
    calibration: Calibration


def work_out(results: Results) -> Figures:
    """Takes a second for 10,000 images."""
    confidence_N = results.predictions["confidence"].to_numpy(dtype=np.float64)
    return Figures(metric_intervals(results), calibration(confidence_N, results.right_N))
