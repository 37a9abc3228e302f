"""What a killed `dvc exp run` leaves, here, in temporary folders and in the queue; what `dvc exp apply` takes; the mends."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from record.dvc_locks import EXPERIMENTS_TABLE, WORKSPACE_RUN, is_alive, left_by_killed, living_processes
from record.git import run_git

STASHING = "workspace"
"""What DVC locks while the workspace is in the stash."""
TAKING_OVER = "refs/exps/exec"
"""What DVC locks while it turns the workspace into that of the experiment."""
BASELINE = "refs/exps/exec/EXEC_BASELINE"
HEAD_BEFORE = "refs/exps/exec/EXEC_HEAD"
EXPERIMENT = "refs/exps/exec/EXEC_MERGE"
WAITING = "refs/exps/stash"
SECONDS_TO_STASH = 60
"""The stash of a killed command was made within so many seconds of its lock."""
MAX_NAMES = 8
"""That a line names."""
FOLDERS = ("metrics", "plots")
"""What the stages write there is in git, and DVC deletes it before they run."""


@dataclass(frozen=True)
class Stash:
    """A stash commit that holds the person's changes, and the options to apply it with."""

    commit: str
    options: str = ""


def interrupted_experiment(root: Path) -> str | None:
    """One line that says how to mend it without losing anything; None when there is nothing to mend, or `dvc` is at work."""
    if living_processes(root):
        return None
    killed = left_by_killed(root)
    if STASHING in killed:
        return _mend_of_start(root, _own_stash(root))
    if TAKING_OVER in killed and (experiment := _commit(root, EXPERIMENT)):
        return _mend_of_start(root, Stash(experiment))
    return _mend_of_work(root)


def _mend_of_start(root: Path, own: Stash | None) -> str | None:
    """Of a kill before the stages began. The changes may be in the workspace, in a stash, or in both."""
    locks = _left_locks(root)
    waiting = _commit(root, WAITING)
    branch = _branch_before(root, _commit(root, "HEAD")) if _is_detached(root) else ""
    if not (locks or branch or own or waiting):
        return None
    steps = [f"rm -f {' '.join(map(shlex.quote, locks))}"] if locks else []
    if branch:
        steps.append(f"git symbolic-ref HEAD refs/heads/{shlex.quote(branch)}")
    if own:
        steps += ["git stash", f"git stash apply {own.options}{own.commit}"]
    if not own or not own.options:
        steps.append("git reset --quiet")
    steps += [f"git update-ref -d {name}" for name in (WAITING, BASELINE) if _commit(root, name)]
    steps.append(f"rm -f {EXPERIMENTS_TABLE}")
    after = "run the experiment again (`git stash list` shows what is left over, `git diff HEAD params.yaml` its values)"
    return _line("in its first moments", steps, after)


def _mend_of_work(root: Path) -> str | None:
    """Of a kill while the stages ran or after them: the workspace holds the changes, the experiment's params and results."""
    baseline = _baseline_of_work(root)
    if not _is_detached(root) or not baseline:
        return None
    locks = _left_locks(root)
    steps = [f"rm -f {' '.join(map(shlex.quote, locks))}"] if locks else []
    branch = _branch_before(root, baseline)
    steps += [f"git symbolic-ref HEAD refs/heads/{shlex.quote(branch)}"] if branch else []
    steps += [f"git reset --quiet {'' if branch else baseline}".rstrip(), f"git update-ref -d {BASELINE}"]
    gone = _git(root, "diff", "--name-only", "--relative", "--diff-filter=D", baseline, "--", *FOLDERS).splitlines()
    steps += [f"git restore {' '.join(map(shlex.quote, gone))}"] if gone else []
    after = "the command of the experiment continues (until then params.yaml has its values: `git diff HEAD params.yaml`)"
    return _line("at work", steps, after)


def _line(when: str, steps: list[str], after: str) -> str:
    commands = " && ".join(steps)
    return (
        f"git: `dvc exp run` was killed here {when}; these commands repair it and keep your changes: {commands}; then {after}"
    )


def _baseline_of_work(root: Path) -> str:
    """The commit that the experiment began from, if it was killed; empty when HEAD is where a person left it.

    DVC deletes EXEC_BASELINE in the end. EXEC_HEAD stays, so that HEAD must also be an experiment that no checkout led to.
    """
    head, parent = (_commit(root, name) for name in ("HEAD", "HEAD^"))
    baseline = _commit(root, BASELINE)
    if baseline and baseline in (head, parent):
        return baseline
    before = _commit(root, HEAD_BEFORE)
    is_experiment = _git(root, "for-each-ref", "--points-at", head, "refs/exps")
    came_here = _git(root, "log", "--walk-reflogs", "--max-count=1", "--format=%gs", "HEAD")
    return before if before and before == parent and is_experiment and not came_here.startswith("checkout:") else ""


def _own_stash(root: Path) -> Stash | None:
    """What DVC stashed of the person's changes, right after it had taken the lock; None if there were none."""
    since = int((root / EXPERIMENTS_TABLE).stat().st_mtime)
    for line in reversed(_git(root, "stash", "list", "--format=%H %ct %gs").splitlines()):
        commit, time, message = line.split(" ", 2)
        if since <= int(time) <= since + SECONDS_TO_STASH and "dvc-exp:" not in message:
            return Stash(commit, "--index ")
    return None


def _branch_before(root: Path, commit: str) -> str:
    """The branch at `commit` that HEAD left last; empty if it was on none."""
    for line in _git(root, "log", "--walk-reflogs", "--max-count=100", "--format=%gs", "HEAD").splitlines():
        left = re.match(r"checkout: moving from (\S+) to ", line)
        if left and _commit(root, f"refs/heads/{left[1]}") == commit:
            return left[1]
    return ""


def _is_detached(root: Path) -> bool:
    return bool(_commit(root, "HEAD")) and not _git(root, "symbolic-ref", "--quiet", "HEAD")


def _left_locks(root: Path) -> list[str]:
    """Lock files of git, which then does nothing until they are gone."""
    names = [_git(root, "rev-parse", "--git-path", name) for name in ("index.lock", "HEAD.lock")]
    return [name for name in names if name and (root / name).exists()]


def _commit(root: Path, name: str) -> str:
    return _git(root, "rev-parse", "--quiet", "--verify", name)


def _git(root: Path, *arguments: str) -> str:
    """What git answers; empty when it fails, as it does where there is no repository or no git."""
    return run_git(*arguments, folder=root).text.strip()


APPLIED = "refs/exps/apply/stash"
"""Where `dvc exp apply` puts what was in the workspace, until the next time."""


def edits_taken_by_apply(root: Path) -> str | None:
    """One line that says how to have back what a person had edited; None where all of it is in the workspace or in git."""
    if not _commit(root, APPLIED):
        return None
    tracked, untracked = _names(root, f"{APPLIED}^1", APPLIED), _names(root, f"{APPLIED}^3")
    kept = _blobs_in_git(root, {*tracked, *untracked})
    lost, edited_since = {}, set()
    for commit, paths in ((APPLIED, tracked), (f"{APPLIED}^3", untracked)):
        for path in paths:
            here = _git(root, "hash-object", "--", path) if (root / path).is_file() else ""
            if _commit(root, f"{commit}:./{path}") not in {"", here, *kept[path]}:
                lost[path] = commit
                edited_since |= {path} if here and here not in kept[path] else set()
    if not lost:
        return None
    plain = [shlex.quote(path) for path, commit in lost.items() if commit == APPLIED and path not in edited_since]
    steps = [f"git restore --source={APPLIED} -- {' '.join(plain)}"] if plain else []
    for path, commit in lost.items():
        if commit != APPLIED or path in edited_since:
            name = f"{path}.before-apply" if path in edited_since else path
            steps.append(f"git show {shlex.quote(f'{commit}:./{path}')} > {shlex.quote(name)}")
    names = ", ".join([*lost][:MAX_NAMES]) + (" and others" if len(lost) > MAX_NAMES else "")
    return (
        f"git: `dvc exp apply` took your edits of {names} out of the workspace; this brings them back: {' && '.join(steps)}; "
        f"or `git update-ref -d {APPLIED}` forgets them"
    )


def _names(root: Path, *commits: str) -> list[str]:
    """The files of a commit, or those that two have different; none where there is no such commit."""
    command = ["diff", "--relative", "--diff-filter=AM"] if len(commits) > 1 else ["ls-tree", "-r"]
    return [name for name in _git(root, *command, "-z", "--name-only", *commits).split("\0") if name]


def _blobs_in_git(root: Path, paths: set[str]) -> dict[str, set[str]]:
    """By path, what HEAD and the experiments have there: of those it is no edit."""
    stash = {_commit(root, name) for name in (APPLIED, f"{APPLIED}^2", f"{APPLIED}^3")}
    commits = {"HEAD", *_git(root, "for-each-ref", "--format=%(objectname)", "refs/exps").split()} - stash
    asked = [(commit, path) for path in sorted(paths) if "\n" not in path for commit in sorted(commits)]
    request = "".join(f"{commit}:./{path}\n" for commit, path in asked).encode(errors="surrogateescape")
    answer = run_git("cat-file", "--batch-check=%(objectname)", folder=root, request=request).text.splitlines()
    found: dict[str, set[str]] = {path: set() for path in paths}
    for (_, path), blob in zip(asked, answer, strict=False):  # "… missing" where there is none
        found[path].add(blob)
    return found


TEMPORARY = Path(".dvc/tmp/exps/standalone")
QUEUED = Path(".dvc/tmp/exps/run")
WORKERS = Path(".dvc/tmp/exps/celery")
RUNNING = 2
"""Of dvc.repo.experiments.executor.base.TaskStatus. Once it is noted, the process works in the experiment's folder."""


def left_experiments(root: Path) -> Iterator[str]:
    """One line for each that was killed, with the command that forgets it."""
    yield from _temporary(root)
    yield from _queued(root)


def _temporary(root: Path) -> Iterator[str]:
    for note in sorted((root / TEMPORARY / "run").glob("*/*.run")):
        noted = read_note(note)
        folder = Path(str(noted.get("root_dir")))
        if noted.get("status") == RUNNING and folder.is_dir() and not _somebody_works_in(folder):
            shown = folder.relative_to(root.resolve()) if folder.is_relative_to(root.resolve()) else folder
            yield (
                f"the experiment {noted.get('name')} of `dvc exp run --temp` was killed but is still listed as running; the "
                f"same command continues it; `rm -rf {shlex.quote(str(shown))}` removes it from the list"
            )


def _queued(root: Path) -> Iterator[str]:
    if any(_runs(read_note(worker)) for worker in (root / WORKERS).glob("*.json")):
        return  # it notes itself what ends
    for note in sorted((root / QUEUED).glob("*/*.json")):
        if note.parent.name == WORKSPACE_RUN.parent.name:
            continue  # `interrupted_experiment` is about it, and DVC does not list it
        process = read_note(note)
        name = read_note(note.with_suffix(".run")).get("name")
        if name and "returncode" in process and process["returncode"] is None and not _runs(process):
            yield (
                f"the queued experiment {name} was killed but is still listed as running; queue the same again to "
                f"continue; `dvc queue kill {name} && dvc queue remove {name}` removes it from the list"
            )


def read_note(note: Path) -> dict[str, Any]:
    """A note of DVC; empty where there is none, or half of one."""
    try:
        values = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _runs(process: dict[str, Any]) -> bool:
    pid = process.get("pid")
    return isinstance(pid, int) and is_alive(pid)


def _somebody_works_in(folder: Path) -> bool:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                return True
    return False
