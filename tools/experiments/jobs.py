"""Runs or queues the chosen experiments, a seed at a time, and says of each what became of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from classifier.common.errors import UserError
from classifier.common.graph import GRAPH_FILE, OUTPUTS, declared_paths, load_graph
from classifier.common.modules import counts
from classifier.params.base import read_yaml
from stages.runner import PARAMS_FILE
from tools.experiments.dvc import dvc_exp_run
from tools.experiments.git import git, head_commit
from tools.experiments.known import find_result
from tools.experiments.listed import EXPERIMENTS_FILE, SEED, Experiment, read_experiments
from tools.experiments.results_file import note, read_results_file
from tools.experiments.settings import missing_images, refuse_bad, set_param_options, with_overrides
from tools.experiments.shown import waiting_experiments
from tools.experiments.snapshot import Snapshot, snapshot
from tools.experiments.telling import say
from tools.review.revisions import Held, Revision

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
        refuse_bad(params, chosen, Path(f"{commit[:_SHORT]}:{PARAMS_FILE}"))
        say(f"in a copy of the last commit, {commit[:_SHORT]}; the workspace stays as it is")
        if changed := uncommitted(_sources(chosen)):
            say(f"not part of it, since not committed: {', '.join(changed)}")
        jobs = _jobs(chosen, seeds, params)
        status = _each(jobs, lambda job: _run(job, place, force=force), "the same command goes on where this one stopped")
    if (now := head_commit()) != commit:
        say(f"HEAD is now {now[:_SHORT]}; `dvc exp show --rev {commit[:_SHORT]}` lists these experiments")
    return status


def queue_jobs(names: list[str], seeds: list[int], *, force: bool) -> int:
    """Put them into DVC's queue. Raises UserError where uncommitted changes would become part of them."""
    chosen, commit = _choose(names), head_commit()
    if changed := uncommitted(_sources(chosen)):
        raise UserError(f"not committed: {', '.join(changed)}; queued experiments begin from the commit, so commit this first")
    params = read_yaml(PARAMS_FILE)
    refuse_bad(params, chosen, PARAMS_FILE)
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


def _sources(chosen: Mapping[str, Experiment]) -> list[str]:
    return [str(one.overrides["source"]) for one in chosen.values() if "source" in one.overrides]


def _choose(names: list[str]) -> dict[str, Experiment]:
    known = read_experiments()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"{EXPERIMENTS_FILE}: has no experiment {unknown[0]!r}; it has {', '.join(known)}")
    return {name: known[name] for name in names} if names else known


def _jobs(chosen: dict[str, Experiment], seeds: list[int], params: dict[str, Any]) -> list[Job]:
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
        return f"`dvc exp run` ended with status {ran.status}; what it says stands above"
    result = Held(job.name, place.commit, place.hand_over(job.name))
    note(job.experiment, job.seed, job.params, result, ran.train_seconds)
    return None


def _queue(job: Job, commit: str, waiting: Iterable[str], *, force: bool) -> str | None:
    """Queue it unless it has a result or waits already; return what went wrong."""
    if job.name in waiting:
        say(f"{job.name}: is queued or at work already")
        return None
    if not force and _known(job, commit):
        return None
    if missing := missing_images(job.params, Path()):
        return missing
    ran = dvc_exp_run(["--queue", *job.options, *(["--force"] if force else [])])
    return f"`dvc exp run --queue` ended with status {ran.status}; what it says stands above" if ran.status else None


def _known(job: Job, commit: str) -> Held | None:
    others = f"`dvc exp rename {job.name} NEW` keeps that one, --force replaces it"
    return find_result(job.name, job.params, commit, if_taken=others)
