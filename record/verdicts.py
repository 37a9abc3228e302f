"""Better, worse, no evidence, or not comparable; which answers changed; and how far another seed alone moves the metrics."""

import math
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import t

from classifier.common.files import read_json
from record.lock_file import Lock
from record.results import Results
from record.revisions import Revision
from record.statistics import (
    LEVEL,
    Interval,
    accuracy_interval,
    holm,
    macro_f1_interval,
    macro_f1_level,
    mcnemar_mid_p,
    mean_interval,
    share_interval,
)


@dataclass(frozen=True)
class Flips:
    """Positions of images in the test split, from 0, in its order: an image's row in plots/predictions.csv."""

    lost: NDArray[np.intp]
    """Right before, wrong after."""
    gained: NDArray[np.intp]
    """Wrong before, right after."""


def find_flips(before: Results, after: Results) -> Flips:
    """Needs comparable results."""
    return Flips(np.flatnonzero(before.right_N & ~after.right_N), np.flatnonzero(~before.right_N & after.right_N))


def surest_first(rows: NDArray[np.intp], wrong: Results) -> NDArray[np.intp]:
    """`rows` by the confidence of the side that is wrong about them."""
    confidence = wrong.predictions["confidence"].to_numpy()[rows]
    return rows[np.argsort(-confidence, kind="stable")]


def commonest_mistakes(rows: NDArray[np.intp], wrong: Results, most: int) -> list[tuple[str, str, int]]:
    """Actual class, the class it is taken for, and how many of `rows`: the `most` commonest, ties in class order."""
    pairs = Counter(zip(wrong.actual_N[rows].tolist(), wrong.predicted_N[rows].tolist(), strict=True))
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [(wrong.classes[actual], wrong.classes[predicted], count) for (actual, predicted), count in ordered]


BETTER, WORSE = "better", "worse"
NO_EVIDENCE = "no evidence of a difference"
NOT_COMPARABLE = "not comparable"
ACCURACY, LOSS, MACRO_F1 = "test_accuracy", "test_loss", "test_macro_f1"
TESTED = (ACCURACY, LOSS, MACRO_F1)
"""The metrics that can be worked out from what is kept of each image. They must stand in metrics/test.json."""


@dataclass(frozen=True)
class TestedMetric:
    """A metric of the test split on both sides. Without an interval they cannot be compared."""

    name: str
    before: float
    after: float
    interval: Interval | None
    """Of the difference, after less before."""
    p_value: float | None
    """Of the accuracy; the others are judged by their interval."""
    verdict: str


@dataclass(frozen=True)
class ClassVerdict:
    """The test images of one actual class on both sides."""

    name: str
    num_images: int
    recall_before: float
    recall_after: float
    gained: int
    """Images that were wrong before and are right after."""
    lost: int
    p_value: float
    """Corrected for the number of classes."""
    verdict: str


def reason_not_to_compare(before: Results, after: Results) -> str | None:
    """Why the predictions are not of the same images in the same order; None when they are."""
    if before.test_hash != after.test_hash:
        return f"the test images differ (their hash is {before.test_hash[:7]} before and {after.test_hash[:7]} after)"
    if before.classes != after.classes:
        return "the classes have other names or another order"
    if len(before.actual_N) != len(after.actual_N):
        return f"there are {len(before.actual_N):,} test images before and {len(after.actual_N):,} after"
    num_differing = int((before.actual_N != after.actual_N).sum())
    if num_differing:
        return f"{num_differing:,} test images have another actual class after than before"
    return None


def compare_metrics(before: Results, after: Results, comparable: bool) -> list[TestedMetric]:
    """Accuracy, loss and macro-F1, in this order."""
    if comparable:
        return [_accuracy(before, after), _loss(before, after), _macro_f1(before, after)]
    return [TestedMetric(name, before.metrics[name], after.metrics[name], None, None, NOT_COMPARABLE) for name in TESTED]


def compare_classes(before: Results, after: Results) -> list[ClassVerdict]:
    """Recall of each class that has test images: mid-p McNemar within it, corrected after Holm. Needs comparable results."""
    counts = []
    for label, name in enumerate(before.classes):
        of_class_N = before.actual_N == label
        if of_class_N.any():
            was, is_now = before.right_N[of_class_N], after.right_N[of_class_N]
            counts.append((name, was, is_now, int((~was & is_now).sum()), int((was & ~is_now).sum())))
    p_values = holm([mcnemar_mid_p(gained, lost) for *_, gained, lost in counts])
    return [
        ClassVerdict(name, len(was), was.mean(), is_now.mean(), gained, lost, p, _verdict(p < LEVEL, gained - lost))
        for (name, was, is_now, gained, lost), p in zip(counts, p_values, strict=True)
    ]


def compare_answers(before_right_N: NDArray[np.bool_], after_right_N: NDArray[np.bool_]) -> tuple[Interval, float, str]:
    """The interval of the difference in accuracy, its p-value, and the verdict, of two models' answers to the same images.

    Called different only when test and interval agree, so that a table never contradicts itself.
    """
    gained, lost = int((~before_right_N & after_right_N).sum()), int((before_right_N & ~after_right_N).sum())
    interval, p = accuracy_interval(gained, lost, len(before_right_N)), mcnemar_mid_p(gained, lost)
    return interval, p, _verdict(p < LEVEL and interval.leaves_out_zero, interval.estimate)


def _accuracy(before: Results, after: Results) -> TestedMetric:
    return TestedMetric(
        ACCURACY, before.metrics[ACCURACY], after.metrics[ACCURACY], *compare_answers(before.right_N, after.right_N)
    )


def _loss(before: Results, after: Results) -> TestedMetric:
    interval = mean_interval(after.loss_N - before.loss_N)
    verdict = _verdict(interval.leaves_out_zero, -interval.estimate)
    return TestedMetric(LOSS, before.metrics[LOSS], after.metrics[LOSS], interval, None, verdict)


def _macro_f1(before: Results, after: Results) -> TestedMetric:
    interval = macro_f1_interval(before.actual_N, before.predicted_N, after.predicted_N, len(before.classes))
    verdict = _verdict(interval.leaves_out_zero, interval.estimate)
    return TestedMetric(MACRO_F1, before.metrics[MACRO_F1], after.metrics[MACRO_F1], interval, None, verdict)


def _verdict(different: bool, improvement: float) -> str:
    if not different:
        return NO_EVIDENCE
    return BETTER if improvement > 0 else WORSE


def regression(metric: TestedMetric) -> float:
    """By how much `metric` got worse, in its own unit; negative when it got better."""
    assert metric.interval is not None
    return metric.interval.estimate if metric.name == LOSS else -metric.interval.estimate


def same_predictions(before: Results, after: Results) -> bool:
    """Whether both give every image the same class and the same loss."""
    return np.array_equal(before.predicted_N, after.predicted_N) and np.array_equal(before.loss_N, after.loss_N)


def metric_intervals(results: Results) -> dict[str, Interval]:
    """By the name in metrics/test.json: accuracy and macro-F1 (Wilson), loss (symmetric bootstrap-t over the images)."""
    loss = mean_interval(results.loss_N)
    return {
        ACCURACY: share_interval(int(results.right_N.sum()), len(results.right_N)),
        LOSS: Interval(loss.estimate, max(loss.low, 0.0), loss.high),
        MACRO_F1: macro_f1_level(results.actual_N, results.predicted_N, len(results.classes)),
    }


SEEDS_FILE = "benchmarks/seeds.json"
_WORD_OF_DATA = "dataset"

_Figures = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2)]


class _Runs(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    setting: dict[str, Any]
    test_accuracy: _Figures
    test_loss: _Figures
    test_macro_f1: _Figures


class _Experiments(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    default: _Runs


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    experiments: _Experiments


@dataclass(frozen=True)
class SeedSpread:
    """By metric, what the difference of two runs of the setting stays below in 95 of 100 pairs of seeds."""

    num_seeds: int
    bounds: dict[str, float]


def read_spread(revision: Revision, lock: Lock) -> SeedSpread | None:
    """The spread on record in `revision`; None when there is none, or it is that of another data set.

    A difference of two normal draws has √2 of their standard deviation, which is estimated here, hence Student's t.
    """
    with revision.unpacked([SEEDS_FILE]) as folder:
        if not (folder / SEEDS_FILE).is_file():
            return None
        runs = read_json(folder / SEEDS_FILE, _Record).experiments.default
    values = [stage.param_values[_WORD_OF_DATA] for stage in lock.stages.values() if _WORD_OF_DATA in stage.param_values]
    if not values or any(value != runs.setting.get(_WORD_OF_DATA) for value in values):
        return None
    return SeedSpread(
        len(runs.test_accuracy),
        {name: _bound(getattr(runs, name)) for name in ("test_accuracy", "test_loss", "test_macro_f1")},
    )


def _bound(figures: list[float]) -> float:
    quantile = float(t.ppf(1 - LEVEL / 2, len(figures) - 1))
    return quantile * math.sqrt(2) * statistics.stdev(figures)
