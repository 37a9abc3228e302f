"""Runs or queues the chosen experiments, a seed at a time, and says of each what became of it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from classifier.common.errors import UserError
from classifier.common.graph import GRAPH_FILE, OUTPUTS, counts, declared_paths, load_graph
from classifier.common.params import PARAMS_FILE, read_yaml
from record.experiments import difference
from record.git import git, head_commit
from record.revisions import Experiment, Revision, finished_experiments
from tools.experiments.dvc_exp import dvc_exp_run, waiting_experiments
from tools.experiments.named import (
    EXPERIMENTS_FILE,
    SEED,
    NamedExperiment,
    check_experiments,
    missing_images,
    read_experiments,
    set_param_options,
    untracked_images,
    with_overrides,
)
from tools.experiments.snapshot import Snapshot, snapshot
from tools.experiments.table import note, read_results_file


def say(text: str) -> None:
    """On a line of its own, at once: DVC and the stages print between."""
    print(f"experiments: {text}", flush=True)


def count(number: int, word: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


_SHORT_COMMIT = 7


def find_result(
    name: str, params: dict[str, Any], commit: str, *, if_taken: str, passing_over: Collection[str] = ()
) -> Experiment | None:
    """An experiment `name` that read what one with `params` begun from `commit` would read, but for the params passed over.

    Raises UserError when another experiment begun from `commit` has the name; `if_taken` tells what to do then.
    """
    found = [one for one in finished_experiments() if one.name == name]
    found.sort(key=lambda one: one.baseline != commit)
    differences = [difference(one, params, commit, passing_over) for one in found]
    for one, differs in zip(found, differences, strict=True):
        if differs is None:
            say(f"{name}: is finished already ({one.commit[:_SHORT_COMMIT]}, started from {one.baseline[:_SHORT_COMMIT]})")
            return one
    for one, differs in zip(found, differences, strict=True):
        if one.baseline == commit:
            raise UserError(f"the name is taken by another experiment ({differs}); {if_taken}")
        say(f"{name}: the one started from {one.baseline[:_SHORT_COMMIT]} differs and is kept ({differs})")
    return None


INTERRUPTED = 130
_SHORT = 7


@dataclass(frozen=True)
class Job:
    """One experiment with one seed."""

    experiment: str
    seed: int
    params: dict[str, Any]
    """All of them."""
    options: list[str]
    """For `dvc exp run`: the name and what differs from params.yaml."""

    @property
    def name(self) -> str:
        """Of the experiment in DVC."""
        return f"{self.experiment}-seed{self.seed}"


def run_jobs(names: list[str], seeds: list[int], *, force: bool) -> int:
    """Run them in a copy of the last commit, one after the other. Returns the exit status: 1 if one has no result."""
    chosen, commit = _choose(names), head_commit()
    read_results_file()
    with snapshot(commit) as place:
        with Revision(commit[:_SHORT], commit).naming(place.folder):
            params = read_yaml(place.folder / PARAMS_FILE)
        check_experiments(params, chosen, Path(f"{commit[:_SHORT]}:{PARAMS_FILE}"))
        say(f"in a copy of the last commit, {commit[:_SHORT]}; the workspace stays as it is")
        if changed := uncommitted(_sources(chosen)):
            say(f"not included, because not committed: {', '.join(changed)}")
        jobs = _jobs(chosen, seeds, params)
        status = _each(jobs, lambda job: _run(job, place, force=force), "the same command continues")
    if (now := head_commit()) != commit:
        say(f"HEAD is now {now[:_SHORT]}; `dvc exp show --rev {commit[:_SHORT]}` lists these experiments")
    return status


def queue_jobs(names: list[str], seeds: list[int], *, force: bool) -> int:
    """Put them into DVC's queue. Raises UserError where uncommitted changes would become part of them."""
    chosen, commit = _choose(names), head_commit()
    if changed := uncommitted(_sources(chosen)):
        raise UserError(f"not committed: {', '.join(changed)}; queued experiments begin from the commit, so commit this first")
    params = read_yaml(PARAMS_FILE)
    check_experiments(params, chosen, PARAMS_FILE)
    waiting = waiting_experiments()
    status = _each(
        _jobs(chosen, seeds, params),
        lambda job: _queue(job, commit, waiting, force=force),
        "the same command queues the rest",
    )
    say("`dvc queue start` runs what is queued; then this command without --queue notes the results for the table")
    return status


def uncommitted(sources: Iterable[str] = ()) -> list[str]:
    """Files that the stages read and that are not as in the last commit; results in git, as metrics and plots, are none.

    With `sources`, those that experiments have in place of the one in params.yaml.
    """
    paths = [f":(literal){path}" for path in (*files_read(sources), str(PARAMS_FILE))]
    changed = git("diff", "-z", "--name-only", "--relative", "HEAD", "--", *paths).split("\0")
    changed += git("ls-files", "-z", "--others", "--exclude-standard", "--", *paths).split("\0")
    return sorted({path for path in changed if path and counts(PurePosixPath(path))})


def files_read(sources: Iterable[str] = ()) -> list[str]:
    """Paths in the repository that the stages read and none of them makes, and dvc.yaml.

    Beside a source stands the file that `dvc add` writes in its place.
    """
    stages = load_graph(GRAPH_FILE).values()
    values = read_yaml(PARAMS_FILE)
    made = {PurePosixPath(out) for stage in stages for out in declared_paths(stage, values, kinds=OUTPUTS)}
    all_sources = {str(values.get("source")), *sources}
    deps = {
        dep
        for stage in stages
        for source in all_sources
        for dep in declared_paths(stage, {**values, "source": source}, kinds=["deps"])
    }
    deps |= {f"{PurePosixPath(source)}.dvc" for source in all_sources}
    read = [dep for dep in sorted(deps) if made.isdisjoint([PurePosixPath(dep), *PurePosixPath(dep).parents])]
    return [path for path in (*read, str(GRAPH_FILE)) if not Path(path).is_absolute()]


def _sources(chosen: Mapping[str, NamedExperiment]) -> list[str]:
    return [str(one.overrides["source"]) for one in chosen.values() if "source" in one.overrides]


def _choose(names: list[str]) -> dict[str, NamedExperiment]:
    known = read_experiments()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"{EXPERIMENTS_FILE}: has no experiment {unknown[0]!r}; it has {', '.join(known)}")
    return {name: known[name] for name in names} if names else known


def _jobs(chosen: dict[str, NamedExperiment], seeds: list[int], params: dict[str, Any]) -> list[Job]:
    """Seed by seed within each experiment, as they stand in the file."""
    return [
        Job(
            name,
            seed,
            with_overrides(params, experiment) | {SEED: seed},
            ["--name", f"{name}-seed{seed}", *set_param_options(experiment.overrides, seed)],
        )
        for name, experiment in chosen.items()
        for seed in seeds
    ]


def _each(jobs: list[Job], do: Callable[[Job], str | None], after_interrupt: str) -> int:
    """Do each in turn. What went wrong with one, which `do` returns or raises as UserError, stops no other."""
    failed, done = [], 0
    try:
        for number, job in enumerate(jobs, start=1):
            say(f"{job.name} ({number} of {len(jobs)})")
            try:
                problem = do(job)
            except UserError as error:
                problem = str(error)
            done += problem is None
            if problem:
                say(f"{job.name}: {problem}")
                failed.append(job.name)
    except KeyboardInterrupt:
        say(f"interrupted; {done} of {len(jobs)} done; {after_interrupt}")
        return INTERRUPTED
    say(f"{done} of {len(jobs)} done" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _run(job: Job, place: Snapshot, *, force: bool) -> str | None:
    """Run it, or find its result; return what went wrong."""
    if not force and (known := _known(job, place.commit)):
        note(job.experiment, job.seed, job.params, known, seconds=None)
        return None
    place.clear()
    if missing := missing_images(job.params, place.folder):
        return missing
    ran = dvc_exp_run([*job.options, *(["--force"] if force else [])], place.folder)
    if ran.status:
        return f"`dvc exp run` ended with status {ran.status}; see its message above"
    result = Experiment(job.name, place.commit, place.hand_over(job.name))
    note(job.experiment, job.seed, job.params, result, ran.train_seconds)
    return None


def _queue(job: Job, commit: str, waiting: Iterable[str], *, force: bool) -> str | None:
    """Queue it unless it has a result or waits already; return what went wrong."""
    if job.name in waiting:
        say(f"{job.name}: is already queued or running")
        return None
    if not force and _known(job, commit):
        return None
    if missing := missing_images(job.params, Path()) or untracked_images(job.params, Path()):
        return missing
    ran = dvc_exp_run(["--queue", *job.options, *(["--force"] if force else [])])
    return f"`dvc exp run --queue` ended with status {ran.status}; see its message above" if ran.status else None


def _known(job: Job, commit: str) -> Experiment | None:
    others = f"`dvc exp rename {job.name} NEW` keeps that one, --force replaces it"
    return find_result(job.name, job.params, commit, if_taken=others)
