"""Draws settings with Optuna, runs each as an experiment, stops the poor ones early, ranks by validation."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from classifier.common.csv_file import read_csv
from classifier.common.errors import UserError, short_message
from classifier.common.params import PARAMS_FILE, read_yaml
from record.git import git, head_commit
from record.results import HISTORY
from record.revisions import Experiment, Revision
from tools.command import INTERRUPTED
from tools.experiments.dvc_exp import dvc_exp_run
from tools.experiments.jobs import count, files_read, find_result, say, uncommitted
from tools.experiments.named import missing_images
from tools.experiments.selection import (
    METRICS,
    THREADS,
    Setting,
    check_base,
    check_metric,
    check_names,
    read_validation,
    report,
    setting,
)
from tools.experiments.snapshot import STATE, Snapshot, snapshot
from tools.experiments.space import Space, corners, draw, name_of, space


class Pruner:
    """Reports each epoch of plots/history.csv in `folder`, which `train` rewrites after every epoch, to Optuna's `trial`.

    The epochs are judged one after the other, however many have come since the last look, so that what is pruned does not
    depend on when it was looked.
    """

    def __init__(self, trial: Trial, metric: str, folder: Path) -> None:
        self._trial, self._metric, self._history = trial, metric, folder / HISTORY
        self._before: tuple[int, int] | None = None
        self.num_epochs = max(trial._get_latest_trial().intermediate_values, default=0)
        self.is_poor = False

    def begin(self) -> None:
        """To be called before the training: a history that lies there now counts for nothing."""
        self._before = self._identity()

    def look(self) -> bool:
        """Whether it is poor by now."""
        identity = self._identity()
        if identity and identity != self._before:
            self.report(self._history)
        return self.is_poor

    def report(self, history: Path) -> None:
        """Report the epochs that are new, up to one at which the trial is poor."""
        figures = read_csv(history, ["epoch", self._metric])[self._metric]
        for figure in figures[self.num_epochs :]:
            if self.is_poor:
                return
            self.num_epochs += 1
            self._trial.report(float(figure), self.num_epochs)
            self.is_poor = self._trial.should_prune()

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._history.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns


WHERE = "search"
SEARCHES = STATE / "searches"
TRIALS_BEFORE_PRUNING = 5
FIRST_EPOCH_TO_PRUNE = 2
MAX_FAILURES = 3
"""In a row; then something else is wrong than the setting."""
_SHORT = 7
_EXPERIMENT, _BASELINE, _OVERRIDES = "experiment", "baseline", "overrides"
_Outcome = tuple[TrialState, float | None]


def search(texts: Sequence[str], *, num_trials: int, metric: str, seed: int, prune: bool) -> int:
    """Go on until there are `num_trials` trials, with those of earlier calls. Returns the exit status: 1 without any result."""
    check_metric(metric)
    dimensions, commit = space(texts), head_commit()
    check_names([*dimensions], WHERE)
    params = _committed_params(commit)
    for overrides in corners(dimensions):
        setting(params, overrides, WHERE)
    folder = SEARCHES / _digest(dimensions, params, metric, seed, prune)
    with snapshot(commit, folder / "resume") as place:
        if problem := missing_images(params, place.folder):
            raise UserError(problem)
        study = _study(folder, metric, prune)
        if changed := uncommitted():
            say(f"not included, because not committed: {', '.join(changed)}")
        say(f"{count(len(study.trials), 'trial')} so far of {num_trials}, in {folder / 'study.db'}")
        try:
            _Search(study, dimensions, params, metric, seed, place, folder).go_on(num_trials)
        except KeyboardInterrupt:
            say(f"interrupted; {len(_ended(study))} of {num_trials} trials done; the same command continues")
            return INTERRUPTED
    return _tell(study, metric)


class _Search:
    def __init__(
        self,
        study: optuna.Study,
        dimensions: Space,
        params: dict[str, Any],
        metric: str,
        seed: int,
        place: Snapshot,
        folder: Path,
    ) -> None:
        self.study, self.dimensions, self.params, self.metric = study, dimensions, params, metric
        self.seed, self.place, self.folder = seed, place, folder

    def go_on(self, num_trials: int) -> None:
        """Raises UserError when trials fail one after the other."""
        failures = 0
        while len(_ended(self.study)) < num_trials:
            trial = self._next()
            one = setting(self.params, draw(self.dimensions, trial), WHERE)
            say(f"trial {trial.number + 1} of {num_trials}: {one.name}")
            trial.set_user_attr(_OVERRIDES, one.overrides)
            state, value = self._outcome(trial, one)
            self.study.tell(trial, value, state=state)
            shutil.rmtree(self.folder / "resume")
            (self.folder / "resume").mkdir()
            say(f"trial {trial.number + 1}: {_told(state, self.metric, value, trial)}")
            failures = failures + 1 if state is TrialState.FAIL else 0
            if failures == MAX_FAILURES:
                raise UserError(f"{WHERE}: {failures} trials failed one after the other; see their messages above")

    def _next(self) -> Trial:
        """The trial that was broken off, or a new one. Each has draws of its own, so that stopping in between changes none."""
        begun = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        number = begun[0].number if begun else len(self.study.trials)
        drawing = hashlib.sha256(f"{self.seed}:{number}".encode()).digest()
        self.study.sampler = optuna.samplers.TPESampler(seed=int.from_bytes(drawing[:4], "big"))
        return Trial(self.study, begun[0]._trial_id) if begun else self.study.ask()

    def _outcome(self, trial: Trial, one: Setting) -> _Outcome:
        if before := self._before(one):
            for epoch, figure in before.intermediate_values.items():
                trial.report(figure, epoch)
            for key, value in before.user_attrs.items():
                trial.set_user_attr(key, value)
            return before.state, before.value if before.state is TrialState.COMPLETE else None
        judged = Pruner(trial, self.metric, self.place.folder)
        try:
            experiment = self._found(one, judged) or self._run(one, judged)
        except UserError as error:
            say(f"{one.name}: {error}")
            return TrialState.FAIL, None
        if judged.is_poor:
            return TrialState.PRUNED, None
        if experiment is None:
            return TrialState.FAIL, None
        trial.set_user_attr(_EXPERIMENT, experiment.commit)
        trial.set_user_attr(_BASELINE, experiment.baseline)
        return TrialState.COMPLETE, read_validation(experiment, one.overrides, self.metric).figure

    def _before(self, one: Setting) -> FrozenTrial | None:
        """A trial of the same setting: it would give the same."""
        return next((trial for trial in _ended(self.study) if trial.user_attrs[_OVERRIDES] == one.overrides), None)

    def _found(self, one: Setting, judged: Pruner) -> Experiment | None:
        free = f"`dvc exp rename {one.name} NEW` keeps that one, and frees the name"
        experiment = find_result(one.name, one.params, self.place.commit, if_taken=free, passing_over=(THREADS,))
        if experiment:
            with experiment.revision.unpacked([HISTORY]) as folder:
                judged.report(folder / HISTORY)
        return experiment

    def _run(self, one: Setting, judged: Pruner) -> Experiment | None:
        """None when it failed or was poor; one that ended before its poor epoch was seen is poor all the same."""
        self.place.clear()
        judged.begin()
        ran = dvc_exp_run(one.options({}), self.place.folder, judged.look)
        if ran.status or judged.look():
            return None
        return Experiment(one.name, self.place.commit, self.place.hand_over(one.name))


def _tell(study: optuna.Study, metric: str) -> int:
    """The report, with one line for the trials that have no result."""
    trials = _ended(study)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    results = {trial.user_attrs[_EXPERIMENT]: trial for trial in complete}
    others = [trial for trial in trials if trial.state is not TrialState.COMPLETE]
    looks = sum(len(trial.intermediate_values) for trial in others)
    if results:
        runs = [
            read_validation(Experiment(_name(trial), trial.user_attrs[_BASELINE], commit), trial.user_attrs[_OVERRIDES], metric)
            for commit, trial in results.items()
        ]
        print(f"\n{report(runs, metric, looks)}\n", flush=True)
    pruned = sum(trial.state is TrialState.PRUNED for trial in others)
    say(f"{count(len(trials), 'trial')}: {len(complete)} complete, {pruned} pruned, {len(others) - pruned} failed")
    return 0 if results else 1


def _told(state: TrialState, metric: str, value: float | None, trial: Trial) -> str:
    if state is TrialState.COMPLETE:
        return f"{metric} {value}"
    epochs = len(trial._get_latest_trial().intermediate_values)
    return "failed" if state is TrialState.FAIL else f"pruned after epoch {epochs}: worse than half of the trials before it"


def _name(trial: FrozenTrial) -> str:
    return name_of(trial.user_attrs[_OVERRIDES])


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _study(folder: Path, metric: str, prune: bool) -> optuna.Study:
    """The one in `folder`, or a new one. Raises UserError for a file that is none."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / "study.db"
    median = optuna.pruners.MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=FIRST_EPOCH_TO_PRUNE)
    try:
        return optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name=WHERE,
            direction=METRICS[metric],
            load_if_exists=True,
            pruner=median if prune else optuna.pruners.NopPruner(),
        )
    except (SQLAlchemyError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: not a study of this Optuna ({short_message(error)}); `rm {path}` and the same command begins "
            "anew, and finds the experiments that have run"
        ) from None


def _committed_params(commit: str) -> dict[str, Any]:
    revision = Revision(commit[:_SHORT], commit)
    with revision.unpacked([str(PARAMS_FILE)]) as folder:
        params = read_yaml(folder / PARAMS_FILE)
    check_base(params, Path(f"{revision.name}:{PARAMS_FILE}"))
    return params


def _digest(dimensions: Space, params: dict[str, Any], metric: str, seed: int, prune: bool) -> str:
    """One for each code and settings; other versions of the packages continue the same search."""
    drawn_from = {name: dimension.description() for name, dimension in dimensions.items()}
    fixed = {name: value for name, value in params.items() if name not in dimensions and name != THREADS}
    code = git("ls-tree", "-r", "HEAD", "--", *files_read())
    text = json.dumps([drawn_from, fixed, metric, seed, prune, code], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
