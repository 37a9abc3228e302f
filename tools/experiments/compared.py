"""Settings that validation can choose between: what is refused before any of them runs."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from classifier.common.errors import UserError, shown
from classifier.common.graph import GRAPH_FILE, used_keys
from classifier.params.base import unknown_keys
from stages.runner import PARAMS_FILE
from tools.check import STAGE_PARAMS, value_problems
from tools.experiments.grid import name_of
from tools.experiments.settings import param_options, refuse_params

METRICS: dict[str, Literal["maximize", "minimize"]] = {"val_accuracy": "maximize", "val_loss": "minimize"}
"""Of metrics/train.json, and which way is better."""
OTHER_IMAGES = ("dataset", "source", "val_fraction", "test_fraction", "max_unreadable")
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


def refuse_metric(metric: str) -> None:
    """Raise UserError for one that must not or cannot choose."""
    if metric.startswith("test_"):
        raise UserError(
            f"--metric {metric}: the test images measure what was chosen; choosing by them would make their figure look better "
            f"than it is; choose by {' or '.join(METRICS)}"
        )
    if metric not in METRICS:
        raise UserError(f"--metric: needs {' or '.join(METRICS)} of metrics/train.json, got {shown(metric)}")


def refuse_names(names: Sequence[str], where: str) -> None:
    """Raise UserError for a param that is not there, or between whose values validation cannot choose."""
    for problem in unknown_keys(Path(where), dict.fromkeys(names), used_keys(GRAPH_FILE)):
        raise UserError(problem)
    for name in names:
        if name in OTHER_IMAGES:
            raise UserError(f"{where}: {name}: each value has validation images of its own, so their figures do not compare")
        if not any(name in model.model_fields for stage, model in STAGE_PARAMS.items() if stage not in AFTER_TRAINING):
            raise UserError(f"{where}: {name}: changes nothing that validation measures, so it cannot choose")


def refuse_base(params: dict[str, Any], where: Path = PARAMS_FILE) -> None:
    """Raise UserError for bad params, and for those without validation."""
    refuse_params(params, where)
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
