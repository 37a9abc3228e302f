"""Runs a grid of settings, several at once, and says which is the best on validation."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from classifier.common.errors import UserError
from classifier.common.params import PARAMS_FILE, read_yaml
from record.git import head_commit
from record.revisions import Experiment, finished_experiments
from tools.command import INTERRUPTED
from tools.experiments.jobs import count, find_result, say, uncommitted
from tools.experiments.named import missing_images, untracked_images
from tools.experiments.parallel import run_at_once
from tools.experiments.selection import (
    THREADS,
    Setting,
    check_base,
    check_metric,
    check_names,
    num_cores,
    read_validation,
    report,
    setting,
    threads_of_job,
)
from tools.experiments.snapshot import snapshots
from tools.experiments.space import grid

WHERE = "sweep"


def sweep(texts: Sequence[str], *, num_jobs: int, metric: str, limit: int, dry_run: bool) -> int:
    """Run every combination of `texts` that has no result yet. Returns the exit status: 1 if one has none in the end."""
    check_metric(metric)
    settings = _settings(texts, limit)
    commit = head_commit()
    if changed := uncommitted():
        raise UserError(f"not committed: {', '.join(changed)}; a sweep begins from the commit, so commit this first")
    also = _shared_threads(settings[0], num_jobs)
    results = _results(settings, commit, tuple(also))
    missing = [one for one in settings if one.name not in results]
    if dry_run:
        return _tell_plan(missing, len(settings))
    problems: dict[str, str] = {}
    if missing:
        try:
            with snapshots(commit, min(num_jobs, len(missing))) as places:
                problems = run_at_once({one.name: one.options(also) for one in missing}, places)
        except KeyboardInterrupt:
            say("interrupted; running experiments stopped after their last complete epoch; the same command continues")
            return INTERRUPTED
    return _end(settings, results | _new(missing, commit), problems, metric)


def _settings(texts: Sequence[str], limit: int) -> list[Setting]:
    """Raises UserError for the first thing wrong with params.yaml or a combination, and for too many."""
    combinations = grid(texts)
    check_names([*combinations[0]], WHERE)
    if len(combinations) > limit:
        raise UserError(
            f"{WHERE}: {len(combinations)} settings, more than {limit}; `--limit {len(combinations)}` runs them all the same"
        )
    params = read_yaml(PARAMS_FILE)
    check_base(params)
    settings = [setting(params, overrides, WHERE) for overrides in combinations]
    if problem := missing_images(params, Path()) or untracked_images(params, Path()):
        raise UserError(problem)
    return settings


def _shared_threads(one: Setting, num_jobs: int) -> dict[str, int]:
    """What all of the sweep's runs get beside their settings, so that they do not stand in each other's way."""
    if THREADS in one.overrides:
        return {}
    threads, given = threads_of_job(one.params, num_jobs), one.params[THREADS]
    if threads == given:
        return {}
    say(f"{THREADS}={threads} for each run: {num_jobs} at once share {count(num_cores(), 'core')} ({PARAMS_FILE} has {given})")
    return {THREADS: threads}


def _results(settings: Iterable[Setting], commit: str, passing_over: Sequence[str]) -> dict[str, Experiment]:
    """The results that are there already. With how many threads they were computed is no difference where we choose that."""
    found = {}
    for one in settings:
        free = f"`dvc exp rename {one.name} NEW` keeps that one, and frees the name"
        try:
            result = find_result(one.name, one.params, commit, if_taken=free, passing_over=passing_over)
        except UserError as error:
            raise UserError(f"{one.name}: {error}") from None
        if result:
            found[one.name] = result
    return found


def _tell_plan(missing: Sequence[Setting], num_settings: int) -> int:
    for one in missing:
        say(f"{one.name}: would run")
    say(f"{len(missing)} of {count(num_settings, 'setting')} to run; nothing was run")
    return 0


def _end(settings: Sequence[Setting], results: dict[str, Experiment], problems: dict[str, str], metric: str) -> int:
    """The report, and which have no result."""
    runs = [read_validation(results[one.name], one.overrides, metric) for one in settings if one.name in results]
    if runs:
        print(f"\n{report(runs, metric)}\n", flush=True)
    lost = [one.name for one in settings if one.name not in results]
    for name in lost:
        say(f"{name}: {problems.get(name, 'ended without a result')}")
    if lost:
        say(f"{len(lost)} of {count(len(settings), 'setting')} without a result; the same command runs them again")
    return 1 if lost else 0


def _new(settings: Sequence[Setting], commit: str) -> dict[str, Experiment]:
    names = {one.name for one in settings}
    return {one.name: one for one in finished_experiments() if one.baseline == commit and one.name in names}
