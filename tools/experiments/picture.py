"""Test accuracy against seconds of training, as a picture."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from classifier.figures.style import BLUE, save_png, styled
from tools.experiments.results_file import Run


def draw(runs: Mapping[str, Sequence[Run]], path: Path) -> None:
    """A point an experiment at the mean of its timed runs, with bars of a standard deviation where there are several."""
    with styled():
        save_png(accuracy_against_seconds(runs), path)


def accuracy_against_seconds(runs: Mapping[str, Sequence[Run]]) -> Figure:
    """The time axis is logarithmic. The points have numbers: of names some would lie on one another."""
    figure = Figure(figsize=(9, max(4.5, 1 + 0.22 * len(runs))))
    axes = figure.subplots()
    for number, (name, of_name) in enumerate(runs.items(), start=1):
        timed = [run for run in of_name if run.seconds is not None]
        # Logarithms have no zero, and a training that took less than the clock's tenth of a second is told as 0.0.
        seconds = [max(run.seconds or 0.0, 0.05) for run in timed]
        percents = [100 * run.metrics["test_accuracy"] for run in timed]
        at = statistics.fmean(seconds), statistics.fmean(percents)
        axes.errorbar(*at, xerr=_deviation(seconds), yerr=_deviation(percents), fmt="o", color=BLUE, capsize=3)
        axes.annotate(str(number), at, xytext=(6, 6), textcoords="offset points")
        axes.plot([], [], linestyle="none", label=f"{number}  {name}")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.15, y=0.15)
    figure.legend(loc="outside right upper", handlelength=0, handletextpad=0)
    axes.set(xlabel="seconds of training", ylabel="test accuracy (%)", title="Accuracy against training time")
    return figure


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
