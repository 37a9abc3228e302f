"""Test accuracy of all experiments against parameters or seconds, as a picture."""

import math
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from classifier.common.errors import UserError
from classifier.figures.style import BLUE, GREY, save_png, shortened, styled
from record.experiments import read_model
from tools.experiments.jobs import count
from tools.experiments.ranking import Comparison, RankedRun
from tools.experiments.table import RESULTS_FILE, SeedRun, read_results_file


class Cost(StrEnum):
    """What can be asked for."""

    PARAMETERS = "parameters"
    SECONDS = "seconds"


WHY_UNKNOWN = {
    Cost.PARAMETERS: f"its model is no longer in DVC's cache, and {RESULTS_FILE} does not have it",
    Cost.SECONDS: f"{RESULTS_FILE} has no time of it; `python -m tools.experiments run` notes that of a training",
}


def costs(ranked: Sequence[RankedRun], kind: Cost) -> list[float | None]:
    """Of each run; None where nothing tells."""
    noted = {run.experiment: run for setting in read_results_file().values() for run in setting.runs}
    return [_cost(one, kind, [noted[commit] for commit in one.candidate.commits if commit in noted]) for one in ranked]


def _cost(one: RankedRun, kind: Cost, noted: Sequence[SeedRun]) -> float | None:
    if kind == Cost.SECONDS:
        return next((run.seconds for run in noted if run.seconds is not None), None)
    known = next((run.num_parameters for run in noted if run.num_parameters is not None), None)
    if known is not None:
        return known
    model = read_model(one.candidate.results.lock)
    return model.num_parameters if model else None


LONGEST_NAME = 28
_LEAST_COST = 0.05
"""Logarithms have no zero, and a training that took less than the clock's tenth of a second is told as 0.0."""
_MARGIN = math.log(2)
"""Of the axis at either end."""
_STEP, _WIDEST = 0.02, 0.15
"""Shares of the axis: between runs that take the same, and for all of them."""
_MAX_DECADES = 4
"""On an axis with marks at 1, 2 and 5."""


def draw(comparison: Comparison, kind: Cost, path: Path) -> list[str]:
    """Write the picture of the largest group. Returns lines that say what is in it, and what is not and why.

    Raises UserError where no run's cost is known.
    """
    ranked = comparison.groups[0]
    of_all = list(zip(ranked, costs(ranked, kind), strict=True))
    known = [(one, cost) for one, cost in of_all if cost is not None]
    if not known:
        raise UserError(f"--scatter: nothing to draw; of {ranked[0].candidate.name}: {WHY_UNKNOWN[kind]}")
    with styled(one.candidate.name for one, _ in known) as remark:
        save_png(accuracy_against([one for one, _ in known], [cost for _, cost in known], kind), path)
    lines = [f"written: {path}: {count(len(known), 'run')} by test accuracy and {kind}"]
    lines += [f"not in {path}: {one.candidate.name}: {WHY_UNKNOWN[kind]}" for one, cost in of_all if cost is None]
    lines += [f"not in {path}: {one.candidate.name}: other test images" for group in comparison.groups[1:] for one in group]
    return [*lines, *([remark] if remark else [])]


def accuracy_against(ranked: Sequence[RankedRun], of_runs: Sequence[float], kind: Cost) -> Figure:
    """A point for each run with its 95 % interval, filled where it does not differ from the best, and its setting's number.

    `ranked` has the best first, and so have the numbers. The axis of the costs, `of_runs`, is logarithmic; runs of one cost
    stand side by side.
    """
    settings = list(dict.fromkeys(one.candidate.setting for one in ranked))
    figure = Figure(figsize=(9, max(4.8, 1 + 0.22 * len(settings))))
    axes = figure.subplots()
    places = _side_by_side(ranked, [max(cost, _LEAST_COST) for cost in of_runs])
    for one, place in zip(ranked, places, strict=True):
        percent, low, high = (100 * share for share in (one.accuracy, one.low, one.high))
        axes.errorbar(place, percent, yerr=[[percent - low], [high - percent]], elinewidth=1, capsize=2, **_look(one))
        number = str(settings.index(one.candidate.setting) + 1)
        axes.annotate(number, (place, high), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8)
    _logarithmic(axes, places)
    axes.set_xlabel("parameters of the model" if kind == Cost.PARAMETERS else "seconds of training")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title(
        f"Test accuracy against {kind}, with 95 % intervals\nfilled: the best, and those not significantly different from it"
    )
    figure.legend(handles=_legend(ranked, settings), loc="outside right upper", handletextpad=0.3)
    return figure


def _side_by_side(ranked: Sequence[RankedRun], of_runs: Sequence[float]) -> list[float]:
    """Where each run stands: at its cost, or beside the others that have the same, a setting's together."""
    axis = math.log(max(of_runs) / min(of_runs)) + 2 * _MARGIN
    columns: dict[float, list[int]] = {}
    order = list(dict.fromkeys(one.candidate.setting for one in ranked))
    for index in sorted(range(len(ranked)), key=lambda index: order.index(ranked[index].candidate.setting)):
        columns.setdefault(of_runs[index], []).append(index)
    places = list(of_runs)
    for cost, indices in columns.items():
        step = axis * min(_STEP, _WIDEST / len(indices))
        for number, index in enumerate(indices):
            places[index] = cost * math.exp(step * (number - (len(indices) - 1) / 2))
    return places


def _look(one: RankedRun) -> dict[str, Any]:
    return {"fmt": "o", "color": BLUE} if one.as_good else {"fmt": "o", "color": GREY, "markerfacecolor": "white"}


def _legend(ranked: Sequence[RankedRun], settings: Sequence[str]) -> list[Line2D]:
    """A line for each setting, as its best run looks."""
    entries = []
    for number, setting in enumerate(settings, start=1):
        of_setting = [one for one in ranked if one.candidate.setting == setting]
        look = _look(of_setting[0])
        look["marker"] = look.pop("fmt")
        label = f"{number}  {setting_name(of_setting)}"
        entries.append(Line2D([], [], linestyle="none", label=label, **look))
    return entries


def setting_name(runs: Sequence[RankedRun]) -> str:
    """`best (5 runs)` of best-seed0 to best-seed4; of other runs the first one's name."""
    names = [one.candidate.names[0] for one in runs]
    seedless = {re.sub(r"-seed[0-9]+$", "", name) for name in names}
    name = seedless.pop() if len(names) > 1 and len(seedless) == 1 else names[0]
    short = shortened(name, LONGEST_NAME)
    return short if len(names) == 1 else f"{short} ({count(len(names), 'run')})"


def _logarithmic(axes: Axes, places: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(places) / math.exp(_MARGIN), max(places) * math.exp(_MARGIN))
    decades = math.log10(max(places) / min(places))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades <= _MAX_DECADES else (1,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.1)
