"""Settings that validation chooses between: what is refused before, which is best, and how much of that may be chance."""

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scipy.stats import binomtest

from classifier.common.csv_file import read_csv
from classifier.common.errors import UserError, short_repr
from classifier.common.files import read_json
from classifier.common.graph import GRAPH_FILE, used_keys
from classifier.common.params import PARAMS_FILE, unknown_keys
from record.metrics import DATA_METRICS, TEST_METRICS, TRAIN_METRICS, DataMetrics, Metrics
from record.results import HISTORY
from record.revisions import Experiment
from record.statistics import LEVEL
from tools.check import STAGE_PARAMS, value_problems
from tools.experiments.jobs import count
from tools.experiments.named import SEED, check_params, param_options
from tools.experiments.space import name_of

METRICS: dict[str, Literal["maximize", "minimize"]] = {"val_accuracy": "maximize", "val_loss": "minimize"}
"""Of metrics/train.json, and which way is better."""
OTHER_IMAGES = (
    *("dataset", "source", "val_fraction", "test_fraction", "max_unreadable"),
    *("class_depth", "label_column", "path_column", "split_column", "group_column", "group_pattern", "pixel_max"),
)
"""Params with other values of which the validation images are others."""
AFTER_TRAINING = ("evaluate", "plot")
THREADS = "threads"


@dataclass(frozen=True)
class Setting:
    """A name for DVC, what differs from params.yaml, and all params."""

    name: str
    overrides: dict[str, Any]
    params: dict[str, Any]

    def options(self, also: Mapping[str, Any]) -> list[str]:
        """Of `dvc exp run`; `also` are overrides that the name does not tell."""
        return ["--name", self.name, *param_options({**also, **self.overrides})]


def check_metric(metric: str) -> None:
    """Raise UserError for one that must not or cannot choose."""
    if metric.startswith("test_"):
        raise UserError(f"--metric {metric}: a test split that chooses can no longer measure; choose by {' or '.join(METRICS)}")
    if metric not in METRICS:
        raise UserError(f"--metric: needs {' or '.join(METRICS)} of metrics/train.json, got {short_repr(metric)}")


def check_names(names: Sequence[str], where: str) -> None:
    """Raise UserError for a param that is not there, or between whose values validation cannot choose."""
    for problem in unknown_keys(Path(where), dict.fromkeys(names), used_keys(GRAPH_FILE)):
        raise UserError(problem)
    for name in names:
        if name in OTHER_IMAGES:
            raise UserError(f"{where}: {name}: each value has other validation images, so the results do not compare")
        if not any(name in model.model_fields for stage, model in STAGE_PARAMS.items() if stage not in AFTER_TRAINING):
            raise UserError(f"{where}: {name}: has no effect on validation, so there is nothing to compare")


def check_base(params: dict[str, Any], where: Path = PARAMS_FILE) -> None:
    """Raise UserError for bad params, and for those without validation."""
    check_params(params, where)
    if params["val_fraction"] == 0:
        raise UserError(f"{where}: val_fraction: 0 leaves no validation images to choose by; set it to 0.1 and commit that")


def setting(params: Mapping[str, Any], overrides: dict[str, Any], where: str) -> Setting:
    """Raises UserError for the first thing wrong with `params` changed so."""
    name, changed = name_of(overrides), {**params, **overrides}
    for problem in value_problems(changed, Path(f"{where}: {name}")):
        raise UserError(problem)
    return Setting(name, overrides, changed)


def threads_of_job(params: Mapping[str, Any], num_jobs: int) -> int:
    """Those of params.yaml, or fewer where so many jobs at once would want more than there are cores; 1 at least."""
    return min(int(params[THREADS]), max(1, num_cores() // num_jobs))


def num_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


VAL_ACCURACY, TEST_ACCURACY = "val_accuracy", "test_accuracy"


@dataclass(frozen=True)
class Validation:
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


def read_validation(experiment: Experiment, overrides: dict[str, Any], metric: str) -> Validation:
    """Raises UserError for an experiment without the metric."""
    with experiment.revision.unpacked([TRAIN_METRICS, TEST_METRICS, DATA_METRICS, HISTORY]) as folder:
        figures = read_json(folder / TRAIN_METRICS, Metrics).root
        if metric not in figures:
            raise UserError(f"{experiment.name}:{TRAIN_METRICS}: has no {metric}, only {', '.join(figures)}")
        return Validation(
            experiment.name,
            overrides,
            figures[metric],
            len(read_csv(folder / HISTORY, ["epoch"])),
            read_json(folder / DATA_METRICS, DataMetrics).images["val"],
            read_json(folder / TEST_METRICS, Metrics).root[TEST_ACCURACY],
        )


def report(runs: Sequence[Validation], metric: str, other_looks: int = 0) -> str:
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
            f"its {TEST_ACCURACY} (not used for the choice): {_percents([run.test_accuracy for run in best])}",
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


def _ranked(runs: Sequence[Validation], metric: str) -> list[list[Validation]]:
    groups: dict[str, list[Validation]] = {}
    for run in runs:
        groups.setdefault(name_of({key: value for key, value in run.overrides.items() if key != SEED}), []).append(run)
    sign = -1 if METRICS[metric] == "maximize" else 1
    return sorted(groups.values(), key=lambda group: sign * statistics.fmean(run.figure for run in group))


def _warning(best: Sequence[Validation], metric: str, num_settings: int, num_looks: int) -> list[str]:
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
        f"{100 * optimism(accuracy, num_images, num_looks):.1f} points on average; 95 % interval corrected for the choice: "
        f"{low:.2%} to {high:.2%}"
    ]


def _name(group: Sequence[Validation]) -> str:
    if len(group) == 1:
        return group[0].name
    return name_of({key: value for key, value in group[0].overrides.items() if key != SEED}) or "params.yaml"


def _figures(group: Sequence[Validation], metric: str) -> str:
    figures = [run.figure for run in group]
    return _percents(figures) if metric == VAL_ACCURACY else _spread([f"{statistics.fmean(figures):.4f}"], figures, 1, 4)


def _percents(shares: Sequence[float]) -> str:
    return _spread([f"{statistics.fmean(shares):.2%}"], shares, 100, 2)


def _spread(words: list[str], figures: Sequence[float], scale: float, decimals: int) -> str:
    """Of several seeds with the sample's standard deviation."""
    if len(figures) > 1:
        words = [*words, f"± {scale * statistics.stdev(figures):.{decimals}f}", f"({len(figures)} seeds)"]
    return " ".join(words)
