"""docs/results.md: what was reported beside what came out here; benchmarks/results.json keeps it."""

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from pydantic import BaseModel, ConfigDict, Field, RootModel

from classifier.common.errors import UserError
from classifier.common.files import read_json, write_json, write_text
from classifier.common.params import PARAMS_FILE, read_yaml
from classifier.figures.style import BLUE, save_png, styled
from record.experiments import read_model, read_run_record
from record.revisions import Experiment, processor_name
from tools.experiments.named import EXPERIMENTS_FILE, SEED, NamedExperiment, ReportedMetrics, read_experiments, with_overrides

RESULTS_FILE = Path("benchmarks/results.json")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class SeedRun(_Strict):
    """One seed. `seconds` are those of the training, which only a run that trained from its start can tell."""

    seed: int
    commit: str
    """Of the code: the commit that the experiment began from."""
    experiment: str
    """The experiment's own commit."""
    metrics: dict[str, float]
    epochs: Annotated[int, Field(ge=1)] | None = None
    """That were trained; None of a run that was noted before they were."""
    num_parameters: int | None
    computed_with: dict[str, str | int] | None
    """Versions, device, threads, by models/model.json; None, as num_parameters, where the cache no longer has it."""
    seconds: Annotated[float, Field(ge=0)] | None
    machine: str | None
    """Of the seconds."""


class SettingRuns(_Strict):
    """All params of an experiment but the seed, and its runs by seed."""

    params: dict[str, Any]
    runs: list[SeedRun]

    def agrees_with(self, params: dict[str, Any]) -> bool:
        """Whether `params` have the same values, as far as both have them: a param that came later changes no earlier run."""
        return all(params[name] == value for name, value in self.params.items() if name in params)


class _File(RootModel[dict[str, SettingRuns]]):
    model_config = ConfigDict(strict=True)


def read_results_file() -> dict[str, SettingRuns]:
    """The settings by experiment; none where there is no file. Raises UserError for a damaged one."""
    if not RESULTS_FILE.exists():
        return {}
    try:
        return read_json(RESULTS_FILE, _File).root
    except UserError as error:
        raise UserError(f"{error}; mend it, or `git restore {RESULTS_FILE}`") from None


def note(name: str, seed: int, params: dict[str, Any], finished: Experiment, seconds: float | None) -> None:
    """Put the run into the file, in place of an earlier one of this seed; runs of the name with other params go.

    Without `seconds` of its own it takes over those of an earlier run that gave the same metrics.
    """
    results = read_results_file()
    setting = {key: value for key, value in params.items() if key != SEED}
    kept = results[name].runs if name in results and results[name].agrees_with(setting) else []
    earlier = next((run for run in kept if run.seed == seed), None)
    if seconds is None and earlier and earlier.experiment == finished.commit and earlier.epochs is not None:
        return
    run = _run(seed, finished, seconds)
    if seconds is None and earlier and earlier.metrics == run.metrics:
        run = run.model_copy(update={"seconds": earlier.seconds, "machine": earlier.machine})
    runs = sorted([run, *(one for one in kept if one.seed != seed)], key=lambda one: one.seed)
    results[name] = SettingRuns(params=setting, runs=runs)
    write_json(RESULTS_FILE, {name: results[name].model_dump() for name in sorted(results)})


def _run(seed: int, finished: Experiment, seconds: float | None) -> SeedRun:
    record = read_run_record(finished.revision)
    model = read_model(record.lock)
    return SeedRun(
        seed=seed,
        commit=finished.baseline,
        experiment=finished.commit,
        metrics=record.metrics,
        epochs=record.epochs,
        num_parameters=model.num_parameters if model else None,
        computed_with=model.computed_with if model else None,
        seconds=seconds,
        machine=None if seconds is None else _machine(),
    )


def _machine() -> str:
    """The processor and how many of it there are."""
    return f"{processor_name()}, {os.cpu_count()} cores"


def draw(runs: Mapping[str, Sequence[SeedRun]], path: Path) -> None:
    """A point an experiment at the mean of its timed runs, with bars of a standard deviation where there are several."""
    with styled():
        save_png(accuracy_against_seconds(runs), path)


def accuracy_against_seconds(runs: Mapping[str, Sequence[SeedRun]]) -> Figure:
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


PAGE = Path("docs/results.md")
PICTURE = Path("docs/results.png")
NONE = "–"
ACCURACY, LOSS = "test_accuracy", "test_loss"
KEPT_ACCURACY, KEPT_LOSS = "kept_train_accuracy", "kept_train_loss"
"""Of the images to train on, with the kept weights."""
_HEAD = (
    "| experiment | what it is | reported accuracy | accuracy | reported loss | loss | epochs | seconds | parameters | runs |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
)


def write_page() -> list[Path]:
    """Write the page and, where a training was timed, its picture. Returns the files. Raises UserError without any run."""
    experiments, results = read_experiments(), read_results_file()
    if not any(name in results for name in experiments):
        raise UserError(f"{RESULTS_FILE}: has no run of {EXPERIMENTS_FILE}; `python -m tools.experiments run` makes them")
    timed = {name: found.runs for name, found in results.items() if name in experiments and _figures(found.runs, "seconds")}
    if timed:
        draw(timed, PICTURE)
    else:
        PICTURE.unlink(missing_ok=True)
    write_text(PAGE, page(experiments, results, _outdated(experiments, results), drawn=bool(timed)))
    return [PAGE, PICTURE] if timed else [PAGE]


def page(
    experiments: dict[str, NamedExperiment], results: dict[str, SettingRuns], outdated: Sequence[str], *, drawn: bool
) -> str:
    """The Markdown text. A figure that several seeds gave stands as their mean ± standard deviation."""
    lines = [
        "# Results",
        "",
        f"Written by `python -m tools.experiments table` from `{RESULTS_FILE}`, where `python -m tools.experiments run`",
        f"notes every run. `{EXPERIMENTS_FILE}` says what each experiment changes in `params.yaml`. Accuracy and loss",
        "(cross-entropy, nats) are those of the test split. Several runs differ only in the seed, and are given as mean ±",
        "standard deviation. Seconds are those of the stage `train`, of runs in which it began at its first epoch.",
        "",
        *_HEAD,
        *(_row(name, experiment, results.get(name), old=name in outdated) for name, experiment in experiments.items()),
        "",
        *_notes(experiments, results, outdated),
    ]
    picture = ["", f"![Test accuracy against seconds of training, a point for each experiment]({PICTURE.name})"]
    return "\n".join([*lines, *(picture if drawn else [])]) + "\n"


def _row(name: str, experiment: NamedExperiment, setting: SettingRuns | None, *, old: bool) -> str:
    runs = setting.runs if setting else []
    reported = experiment.reported
    accuracies, losses = _metrics(runs, ACCURACY), _metrics(runs, LOSS)
    parameters = {f"{run.num_parameters:,}" for run in runs if run.num_parameters is not None}
    cells = [
        f"{name}{' *' if old else ''}",
        experiment.description,
        _percent(_given(reported.accuracy if reported else None)),
        _percent(accuracies),
        _plain(_given(reported.loss if reported else None), 4),
        _plain(losses, 4),
        _epochs(setting) if setting else NONE,
        _plain(_figures(runs, "seconds"), 1),
        ", ".join(sorted(parameters)) or NONE,
        str(len(runs)) if runs else "not run",
    ]
    return f"| {' | '.join(cells)} |"


def _epochs(setting: SettingRuns) -> str:
    """Those that were trained, or where no run has them the param."""
    trained = {run.epochs for run in setting.runs if run.epochs is not None}
    return ", ".join(map(str, sorted(trained))) or str(setting.params.get("epochs", NONE))


def _notes(experiments: dict[str, NamedExperiment], results: dict[str, SettingRuns], outdated: Sequence[str]) -> Iterator[str]:
    """Where the reported figures come from, and where ours do."""
    for name, experiment in experiments.items():
        if experiment.reported:
            yield f"- reported of {name}: {experiment.reported.source}"
            yield from _of_training_images(name, experiment.reported, results[name].runs if name in results else [])
    if outdated:
        yield f"- \\* ran with other params than `{EXPERIMENTS_FILE}` and `params.yaml` have now: run it again"
    grouped: dict[str, list[str]] = {}
    for name in experiments:
        for run in results[name].runs if name in results else []:
            grouped.setdefault(_circumstances(run), []).append(f"{name}-seed{run.seed}")
    for circumstances, names in grouped.items():
        yield f"- {circumstances}: {', '.join(names)}"


def _of_training_images(name: str, reported: ReportedMetrics, runs: Sequence[SeedRun]) -> Iterator[str]:
    """Loss and accuracy of the images that were trained on, where they were reported."""
    if reported.train_loss is not None or reported.train_accuracy is not None:
        losses, accuracies = _plain(_given(reported.train_loss), 4), _percent(_given(reported.train_accuracy))
        ours = f"ours {_plain(_metrics(runs, KEPT_LOSS), 4)} and {_percent(_metrics(runs, KEPT_ACCURACY))}"
        yield f"- training images of {name}, with the final weights: reported loss {losses} and accuracy {accuracies}, {ours}"


def _circumstances(run: SeedRun) -> str:
    facts = [f"{name} {value}" for name, value in (run.computed_with or {}).items()]
    timed = [f"timed on {run.machine}"] if run.machine else ["not timed"]
    return ", ".join([f"commit {run.commit[:7]}", *facts, *timed])


def _outdated(experiments: dict[str, NamedExperiment], results: dict[str, SettingRuns]) -> list[str]:
    params = read_yaml(PARAMS_FILE)
    return [
        name
        for name, experiment in experiments.items()
        if name in results and not results[name].agrees_with(with_overrides(params, experiment))
    ]


def _given(figure: float | None) -> list[float]:
    return [] if figure is None else [figure]


def _metrics(runs: Sequence[SeedRun], name: str) -> list[float]:
    """Of the runs that have it."""
    return [run.metrics[name] for run in runs if name in run.metrics]


def _figures(runs: Sequence[SeedRun], name: str) -> list[float]:
    """Of the runs that have it."""
    return [value for run in runs if (value := getattr(run, name)) is not None]


def _percent(shares: Sequence[float]) -> str:
    return f"{_plain([100 * share for share in shares], 2)} %" if shares else NONE


def _plain(values: Sequence[float], decimals: int) -> str:
    """Mean, and of several the standard deviation of the sample."""
    if not values:
        return NONE
    mean = f"{statistics.fmean(values):.{decimals}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{decimals}f}"
