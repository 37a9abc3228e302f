"""docs/results.md: what was reported beside what came out here."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from classifier.common.errors import UserError
from classifier.common.files import write_text
from classifier.params.base import read_yaml
from stages.runner import PARAMS_FILE
from tools.experiments.listed import EXPERIMENTS_FILE, Experiment, Reported, read_experiments
from tools.experiments.results_file import RESULTS_FILE, Run, Setting, read_results_file
from tools.experiments.settings import with_overrides

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
        from tools.experiments.picture import draw  # matplotlib takes half a second to import

        draw(timed, PICTURE)
    else:
        PICTURE.unlink(missing_ok=True)
    write_text(PAGE, page(experiments, results, _outdated(experiments, results), drawn=bool(timed)))
    return [PAGE, PICTURE] if timed else [PAGE]


def page(experiments: dict[str, Experiment], results: dict[str, Setting], outdated: Sequence[str], *, drawn: bool) -> str:
    """The Markdown text. A figure that several seeds gave stands as their mean ± standard deviation."""
    lines = [
        "# Results",
        "",
        f"Written by `python -m tools.experiments table` from `{RESULTS_FILE}`, where `python -m tools.experiments run`",
        f"notes every run. `{EXPERIMENTS_FILE}` says what each experiment changes in `params.yaml`. Accuracy and loss",
        "(cross-entropy, nats) are those of the test split. Several runs differ in the seed alone, and stand as mean ±",
        "standard deviation. Seconds are those of the stage `train`, of runs in which it began at its first epoch.",
        "",
        *_HEAD,
        *(_row(name, experiment, results.get(name), old=name in outdated) for name, experiment in experiments.items()),
        "",
        *_notes(experiments, results, outdated),
    ]
    picture = ["", f"![Test accuracy against seconds of training, a point for each experiment]({PICTURE.name})"]
    return "\n".join([*lines, *(picture if drawn else [])]) + "\n"


def _row(name: str, experiment: Experiment, setting: Setting | None, *, old: bool) -> str:
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


def _epochs(setting: Setting) -> str:
    """Those that were trained, or where no run has them the param."""
    trained = {run.epochs for run in setting.runs if run.epochs is not None}
    return ", ".join(map(str, sorted(trained))) or str(setting.params.get("epochs", NONE))


def _notes(experiments: dict[str, Experiment], results: dict[str, Setting], outdated: Sequence[str]) -> Iterator[str]:
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


def _of_training_images(name: str, reported: Reported, runs: Sequence[Run]) -> Iterator[str]:
    """Loss and accuracy of the images that were trained on, where they were reported."""
    if reported.train_loss is not None or reported.train_accuracy is not None:
        losses, accuracies = _plain(_given(reported.train_loss), 4), _percent(_given(reported.train_accuracy))
        ours = f"ours {_plain(_metrics(runs, KEPT_LOSS), 4)} and {_percent(_metrics(runs, KEPT_ACCURACY))}"
        yield f"- training images of {name}, with the final weights: reported loss {losses} and accuracy {accuracies}, {ours}"


def _circumstances(run: Run) -> str:
    facts = [f"{name} {value}" for name, value in (run.computed_with or {}).items()]
    timed = [f"timed on {run.machine}"] if run.machine else ["not timed"]
    return ", ".join([f"commit {run.commit[:7]}", *facts, *timed])


def _outdated(experiments: dict[str, Experiment], results: dict[str, Setting]) -> list[str]:
    params = read_yaml(PARAMS_FILE)
    return [
        name
        for name, experiment in experiments.items()
        if name in results and not results[name].agrees_with(with_overrides(params, experiment))
    ]


def _given(figure: float | None) -> list[float]:
    return [] if figure is None else [figure]


def _metrics(runs: Sequence[Run], name: str) -> list[float]:
    """Of the runs that have it."""
    return [run.metrics[name] for run in runs if name in run.metrics]


def _figures(runs: Sequence[Run], name: str) -> list[float]:
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
