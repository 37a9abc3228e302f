"""Which setting is the best on validation, and how much of that may be chance. Only the chosen one's test figure is told."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from scipy.stats import binomtest

from classifier.common.errors import UserError
from classifier.common.files import read_json
from classifier.csv_file import read_table
from tools.experiments.compared import METRICS
from tools.experiments.grid import name_of
from tools.experiments.listed import SEED
from tools.experiments.telling import count
from tools.review.results import HISTORY, TEST_METRICS, TRAIN_METRICS, Figures
from tools.review.revisions import Held
from tools.review.statistics import LEVEL

DATA_METRICS = "metrics/data.json"
VAL_ACCURACY, TEST_ACCURACY = "val_accuracy", "test_accuracy"


class _Data(BaseModel):
    images: dict[str, int]


@dataclass(frozen=True)
class Measured:
    """What an experiment's commit holds of its validation, and its test accuracy."""

    name: str
    overrides: dict[str, Any]
    figure: float
    """The metric that chooses."""
    num_looks: int
    """Epochs, of which validation kept the best."""
    num_images: int
    """Of validation."""
    test_accuracy: float


def measured(held: Held, overrides: dict[str, Any], metric: str) -> Measured:
    """Raises UserError for an experiment without the metric."""
    with held.revision.unpacked([TRAIN_METRICS, TEST_METRICS, DATA_METRICS, HISTORY]) as folder:
        figures = read_json(folder / TRAIN_METRICS, Figures).root
        if metric not in figures:
            raise UserError(f"{held.name}:{TRAIN_METRICS}: has no {metric}, only {', '.join(figures)}")
        return Measured(
            held.name,
            overrides,
            figures[metric],
            len(read_table(folder / HISTORY, ["epoch"])),
            read_json(folder / DATA_METRICS, _Data).images["val"],
            read_json(folder / TEST_METRICS, Figures).root[TEST_ACCURACY],
        )


def report(runs: Sequence[Measured], metric: str, other_looks: int = 0) -> str:
    """Settings, best first; those that differ in the seed alone are one. `other_looks` are figures of runs without a result."""
    ranked = _ranked(runs, metric)
    best = ranked[0]
    width = max(len(_name(group)) for group in ranked)
    rows = [f"{number:3}  {_name(group):{width}}  {_figures(group, metric)}" for number, group in enumerate(ranked, start=1)]
    images = f"{min(run.num_images for run in runs):,} validation images"
    looks = sum(run.num_looks for run in runs) + other_looks
    return "\n".join(
        [
            f"{count(len(ranked), 'setting')} by {metric} of {images}",
            "",
            *rows,
            "",
            f"chosen: {_name(best)}; `dvc exp apply {best[0].name}` brings it into the workspace",
            *_warning(best, metric, len(ranked), looks),
            f"its {TEST_ACCURACY}, by which nothing was chosen: {_percents([run.test_accuracy for run in best])}",
        ]
    )


def optimism(accuracy: float, num_images: int, num_looks: int) -> float:
    """The most by which the best of `num_looks` accuracies lies above what it would be on new images, in the mean.

    Of M normal variables with deviation s, independent or not, the expected maximum is s · sqrt(2 ln M) at most (Boucheron,
    Lugosi & Massart 2013, theorem 2.5); s is that of a share of `num_images` images.
    """
    return math.sqrt(accuracy * (1 - accuracy) / num_images * 2 * math.log(num_looks))


def interval_of_best(accuracy: float, num_images: int, num_looks: int) -> tuple[float, float]:
    """Wilson's, wide enough that those of all `num_looks` accuracies hold together with 95 % (Bonferroni)."""
    test = binomtest(round(accuracy * num_images), num_images)
    bounds = test.proportion_ci(confidence_level=1 - LEVEL / num_looks, method="wilson")
    return float(bounds.low), float(bounds.high)


def _ranked(runs: Sequence[Measured], metric: str) -> list[list[Measured]]:
    groups: dict[str, list[Measured]] = {}
    for run in runs:
        groups.setdefault(name_of({key: value for key, value in run.overrides.items() if key != SEED}), []).append(run)
    sign = -1 if METRICS[metric] == "maximize" else 1
    return sorted(groups.values(), key=lambda group: sign * statistics.fmean(run.figure for run in group))


def _warning(best: Sequence[Measured], metric: str, num_settings: int, num_looks: int) -> list[str]:
    """Where only one figure was looked at, there is nothing to warn of."""
    if num_looks == 1:
        return []
    looks = f"{count(num_settings, 'setting')} and {count(num_looks, 'epoch')} were compared"
    if metric != VAL_ACCURACY or len(best) > 1:
        return [f"warning: {looks}: the best {metric} of so many looks better than it is"]
    accuracy, num_images = best[0].figure, best[0].num_images
    low, high = interval_of_best(accuracy, num_images, num_looks)
    return [
        f"warning: {looks}: the best {metric} of so many looks better than it is, by up to "
        f"{100 * optimism(accuracy, num_images, num_looks):.1f} points in the mean; 95 % interval that allows for the choice: "
        f"{low:.2%} to {high:.2%}"
    ]


def _name(group: Sequence[Measured]) -> str:
    if len(group) == 1:
        return group[0].name
    return name_of({key: value for key, value in group[0].overrides.items() if key != SEED}) or "params.yaml"


def _figures(group: Sequence[Measured], metric: str) -> str:
    figures = [run.figure for run in group]
    return _percents(figures) if metric == VAL_ACCURACY else _spread([f"{statistics.fmean(figures):.4f}"], figures, 1, 4)


def _percents(shares: Sequence[float]) -> str:
    return _spread([f"{statistics.fmean(shares):.2%}"], shares, 100, 2)


def _spread(words: list[str], figures: Sequence[float], scale: float, decimals: int) -> str:
    """Of several seeds with the sample's standard deviation."""
    if len(figures) > 1:
        words = [*words, f"± {scale * statistics.stdev(figures):.{decimals}f}", f"({len(figures)} seeds)"]
    return " ".join(words)
